"""SAVEE: British English, TIMIT sentences acted by four men (Haq and Jackson 2010).

Source: https://kahlan.eps.surrey.ac.uk/savee/ after registration. Licence: free of charge for research, no licence to
pass it on.
Files: `AudioData/{speaker}/{emotion}{number}.wav`, 15 a speaker and emotion, 30 for neutral; mirrors have them flat as
`ALL/{speaker}_{emotion}{number}.wav`. Letters as in `AudioData/Info.txt`.
Quirks: sadness and surprise have two letters, sa and su; names repeat from speaker to speaker, so that an utterance is
named `DC_a01` in both layouts. The speakers were 27 to 31 years old; the age of each is not documented. Sentences are given
as examples, not by number: no transcripts.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "savee"
LICENSE = "research use only after registration, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://kahlan.eps.surrey.ac.uk/savee/"
CITATION = "Haq and Jackson, Multimodal Emotion Recognition, in: Machine Audition, IGI Global, 2010"

SPEAKERS = {"dc": "DC", "je": "JE", "jk": "JK", "kl": "KL"}
PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=r"(?:(?P<folder_speaker>DC|JE|JK|KL)/)?(?:(?P<speaker>[A-Z]{2})_)?(?P<label>[a-z]+)(?P<number>\d{2})",
    example="DC_a01 or DC/a01",
    language="en",
    normalise=str.lower,
    codes={"speaker": SPEAKERS, "folder_speaker": SPEAKERS},
    speakers=dict.fromkeys(SPEAKERS.values(), "male"),
    name="{speaker}_{label}{number}",
)
record, records = PATTERN.record, PATTERN.records
