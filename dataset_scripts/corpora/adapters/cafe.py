"""CaFE: Canadian French, six sentences acted by twelve speakers at two strengths (Gournay et al. 2018).

Source: https://zenodo.org/records/1478765; 936 files by the lists of EmoBox. Licence: CC BY-NC-SA 4.0; we
have not read it at the source, so SpeechEQ does not pass the audio on.
Files: `{emotion}/{Faible,Fort}/{actor}-{E}-{strength}-{sentence}.wav`, such as `Peur/Fort/08-P-2-1.wav`; codes, ages
and sentences as in EmoBox's reader (github.com/emo-box/EmoBox, preprocess/scripts/cafe.py).
Quirks: odd actors are male, even actors are female. Neutral has no strength: it is always 1, in `Neutre/`. Folder names
lose their accents when they are unpacked (`Dégoût` to `D‚go–t`), so they are not read. The download has the same recordings in
48 and in 192 kHz: the second copies have the ids of the first.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "cafe"
LICENSE = "CC-BY-NC-SA-4.0"
REDISTRIBUTABLE = False
HOMEPAGE = "https://zenodo.org/records/1478765"
CITATION = "Gournay, Lahaie and Lefebvre, A Canadian French Emotional Speech Dataset, ACM MMSys 2018"

AGES = ("46", "64", "18", "50", "22", "34", "15", "25", "42", "20", "35", "37")
ACTORS = {f"{number:02d}": "male" if number % 2 else "female" for number in range(1, 13)}
SENTENCES = {
    "1": "Un cheval fou dans mon jardin",
    "2": "Deux ânes aigris au pelage brun",
    "3": "Trois cygnes aveugles au bord du lac",
    "4": "Quatre vieilles truies éléphantesques",
    "5": "Cinq pumas fiers et passionnés",
    "6": "Six ours aimants domestiqués",
}
PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=r"(?P<speaker>(?P<age>\d{2}))-(?P<label>[A-Z])-(?P<level>[12])-(?P<text>\d)",
    example="08-P-2-1",
    language="fr",
    normalise=str.upper,
    codes={
        "age": dict(zip(ACTORS, AGES, strict=True)),
        "level": {"1": "faible", "2": "fort"},
        "text": SENTENCES,
    },
    speakers=ACTORS,
)
record, records = PATTERN.record, PATTERN.records
