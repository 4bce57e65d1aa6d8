"""eNTERFACE'05: English, five sentences in each of six emotions by 42 people of 14 nations, on video (Martin et al. 2006).

Source: https://enterface.net/enterface05/; 1,263 files by the lists of EmoBox. Licence: not read by us; see the source.
Files: `subject {speaker}/{emotion}/sentence {n}/s{speaker}_{em}_{n}.avi`, such as `subject 19/anger/sentence 4/s19_an_4.avi`
(EmoBox, preprocess/scripts/enterface.py and its lists). The audio track of each video is read. No transcripts.
Quirks: some names differ from this form (`s_3_su_1.avi`, `s16_su_3avi.avi`, and `s2_an_2.avi` in `sentence 1`), so the
folders tell speaker and emotion. Mirrors write a hyphen or an underscore for the space in folder names. Genders of the
speakers are not in the names.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "enterface"
LICENSE = "see https://enterface.net/enterface05/"
REDISTRIBUTABLE = False
HOMEPAGE = "https://enterface.net/enterface05/"
CITATION = "Martin, Kotsia, Macq and Pitas, The eNTERFACE'05 Audio-Visual Emotion Database, ICDE Workshops, 2006"

PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=r"subject[ _-]?(?P<speaker>\d+)/(?P<label>[a-z]+)/(?:sentence[ _-]?\d+/)?[^/]+",
    example="subject 19/anger/sentence 4/s19_an_4",
    language="en",
    normalise=str.lower,
)
record, records = PATTERN.record, PATTERN.records
