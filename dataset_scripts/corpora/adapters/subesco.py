"""SUBESCO: Bangla, ten sentences acted by twenty actors, five takes each (Sultana et al. 2021).

Source: https://doi.org/10.5281/zenodo.4526477, 7,000 files in one folder. Licence: CC BY 4.0.
Files: `{gender}_{number}_{name}_S_{sentence}_{emotion}_{take}.wav`, such as `F_02_MONIKA_S_1_NEUTRAL_5.wav`.
Sentences as in Table 2 of https://doi.org/10.1371/journal.pone.0250173.
Quirks: women and men are numbered separately (F_01 is OISHI, M_01 is BASHIR), so that the letter belongs to the
speaker; files are in 44.1 and in 48 kHz. `F_02_MONIKA_S_2_SURPRISE_3].wav` has a bracket too many in its name; it is a
good recording, and is read as take 3.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "subesco"
LICENSE = "CC-BY-4.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://doi.org/10.5281/zenodo.4526477"
CITATION = (
    "Sultana et al., SUST Bangla Emotional Speech Corpus (SUBESCO): An audio-only emotional speech corpus for Bangla, "
    "PLOS ONE 16(4), 2021"
)

SENTENCES = {
    "1": "মৌমাছির চাক দেখে কুকুরটি ঘেউঘেউ করছে",
    "2": "তুমি সব উলটপালট করে দিয়েছ",
    "3": "সে কোনকিছু না বলেই চলে গেছে",
    "4": "তোমাকে এখনি আমার সাথে যেতে হবে",
    "5": "তোমার কাজটা করা ঠিক হয়নি",
    "6": "ইঁদুর ছানাটা হারিয়ে গেল",
    "7": "এখন প্রশ্ন করা যাবে না",
    "8": "দরজার বাইরে কুকুরটি দাঁড়িয়ে আছে",
    "9": "একদিন পরেই তার বিয়ে",
    "10": "ডাকাতেরা ঢাল তলোয়ার নিয়ে এল",
}
PATTERN = FilePattern(
    corpus=CORPUS,
    # `]` behind the take: see F_02_MONIKA_S_2_SURPRISE_3] above.
    pattern=r"(?P<speaker>(?P<gender>[FM])_\d{2})_[A-Z]+_S_(?P<text>\d{1,2})_(?P<label>[A-Z]+)_(?P<take>\d+)\]?",
    example="F_02_MONIKA_S_1_NEUTRAL_5",
    language="bn",
    normalise=str.upper,
    codes={"gender": {"F": "female", "M": "male"}, "text": SENTENCES},
)
record, records = PATTERN.record, PATTERN.records
