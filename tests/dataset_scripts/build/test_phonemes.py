import csv

import pytest

from speecheq.dataset_scripts.build import espeak, phonemes
from speecheq.dataset_scripts.build.phonemes import clean


@pytest.mark.parametrize(
    ("written", "symbols"),
    [
        ("h_ə_l_ˈəʊ w_ˈɜː_l_d", ["h", "ə", "l", "əʊ", "w", "ɜː", "l", "d"]),
        ("p_l_ˌa_s_ˈe", ["p", "l", "a", "s", "e"]),
        ("(en) w_ˈiː_k (pl) t_a", ["w", "iː", "k", "t", "a"]),
        ("(en)w_iː_k(pl)", ["w", "iː", "k"]),
        ("a_ː t_i", ["aː", "t", "i"]),
        ("a, t! i? 3", ["a", "t", "i"]),
        ("a_:_t", ["aː", "t"]),
        ("ː_a", ["a"]),
        ("ˈʔe_n ʔ", ["ʔ", "e", "n", "ʔ"]),
        ("ε_g_ɡ_ɲʲ_vʲ", ["ɛ", "ɡ", "ɡ", "ɲ", "vʲ"]),
        ("ˈɑɑ_k", ["ɑː", "k"]),
        ("s_ˈɔ\u0303 o_ɐ̯", ["s", "ɔ\u0303", "o", "ɐ̯"]),
        ("c\u0327", ["ç"]),
        ("__ˈ_", []),
        ("", []),
    ],
)
def test_clean_keeps_one_symbol_per_phoneme(written, symbols):
    assert clean(written) == symbols


def test_polish_and_danish_and_english_are_read_by_espeak():
    assert phonemes.phonemes("Aby słońce.", "pl") == ["a", "b", "ɨ", "s", "w", "ɔ", "ɲ", "ts", "ɛ"]
    assert phonemes.phonemes("Dugen", "da") == ["d", "u", "ə", "n"]
    assert phonemes.phonemes("dance", "en") == ["d", "a", "n", "s"] or phonemes.phonemes("dance", "en")[1] == "ɑː"


def test_english_is_british(monkeypatch):
    asked = []
    monkeypatch.setattr(espeak, "voices", lambda: {"en-gb": "", "pl": ""})
    monkeypatch.setattr(espeak, "ipa", lambda text, voice: asked.append((text, voice)) or "a_b")

    assert phonemes.phonemes("only here", "en") == ["a", "b"]
    assert phonemes.phonemes("only here", "pl") == ["a", "b"]
    assert asked == [("only here", "en-gb"), ("only here", "pl")]


def test_a_text_is_read_once_per_language(monkeypatch):
    asked = []
    monkeypatch.setattr(espeak, "voices", lambda: {"pl": ""})
    monkeypatch.setattr(espeak, "ipa", lambda text, voice: asked.append(text) or "a")

    first, second = phonemes.phonemes("raz dwa trzy", "pl"), phonemes.phonemes("raz dwa trzy", "pl")
    first.append("spoilt")

    assert second == phonemes.phonemes("raz dwa trzy", "pl") == ["a"]
    assert asked == ["raz dwa trzy"]


@pytest.mark.parametrize(("text", "language"), [(None, "pl"), ("", "pl"), ("  ", "pl"), ("...", "pl"), ("hi", "xx")])
def test_what_cannot_be_read_has_no_phonemes(text, language):
    assert phonemes.phonemes(text, language) is None


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("你好。", ["n", "i", "˨˩˦", "x", "au", "˨˩˦"]),
        ("妈", ["m", "a", "˥"]),
        ("麻", ["m", "a", "˧˥"]),
        ("骂", ["m", "a", "˥˩"]),
        ("吗", ["m", "a"]),
        ("知", ["ʈʂ", "ʐ̩", "˥"]),
        ("四", ["s", "z̩", "˥˩"]),
        ("七", ["tɕʰ", "i", "˥"]),
        ("女", ["n", "y", "˨˩˦"]),
        ("学", ["ɕ", "ɥ", "ɛ", "˧˥"]),
        ("云", ["y", "n", "˧˥"]),
        ("我", ["w", "o", "˨˩˦"]),
        ("有", ["j", "ou", "˨˩˦"]),
        ("王", ["w", "a", "ŋ", "˧˥"]),
        ("熊", ["ɕ", "j", "ʊ", "ŋ", "˧˥"]),
        ("二", ["ɚ", "˥˩"]),
        ("嗯", ["n", "˧˥"]),
    ],
)
def test_mandarin_is_initial_final_and_tone(text, symbols):
    assert phonemes.phonemes(text, "zh") == symbols


def test_every_chinese_character_of_pypinyin_can_be_read():
    pinyin_dict = pytest.importorskip("pypinyin.pinyin_dict").pinyin_dict
    common = "".join(chr(code) for code in range(0x4E00, 0x9FA6) if code in pinyin_dict)

    symbols = phonemes._mandarin(common)

    assert len(common) > 20_000
    assert {"ʈʂʰ", "ɥ", "ɚ", "ʐ̩", "˥˩"} <= set(symbols)


@pytest.mark.parametrize("text", ["今天OK", "3天", "！？", "x1"])
def test_mandarin_with_other_signs_has_no_phonemes(text):
    assert phonemes.phonemes(text, "zh") is None


@pytest.mark.corpora
def test_every_sentence_of_nemo_has_clean_phonemes(corpora):
    with (corpora / "nemo/data.tsv").open(encoding="utf-8") as file:
        texts = {row["raw_text"] for row in csv.DictReader(file, delimiter="\t")}

    found = [phonemes.phonemes(text, "pl") for text in sorted(texts)]

    assert len(texts) == 90
    assert all(found)
    assert len({symbol for symbols in found for symbol in symbols}) <= 50


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("花儿", ["x", "w", "a", "ɚ", "˥"]),
        ("玩儿", ["w", "a", "ɚ", "˧˥"]),
        ("小孩儿", ["ɕ", "j", "au", "˨˩˦", "x", "a", "ɚ", "˧˥"]),
        ("一点儿", ["i", "˥˩", "t", "j", "a", "ɚ", "˨˩˦"]),
        ("一会儿", ["i", "˥", "x", "w", "ɚ", "˥˩"]),
        ("事儿", ["ʂ", "ɚ", "˥˩"]),
        ("今儿", ["tɕ", "i", "ɚ", "˥"]),
        ("这儿，儿", ["ʈʂ", "ɤ", "ɚ", "˥˩", "ɚ", "˧˥"]),
        ("空儿", ["kʰ", "ʊ", "ŋ", "ɚ", "˥˩"]),
    ],
)
def test_the_suffix_er_is_the_end_of_the_syllable_before_it(text, symbols):
    assert phonemes.phonemes(text, "zh") == symbols


@pytest.mark.parametrize("text", ["女儿", "婴儿", "儿子", "这儿子", "有儿童", "儿"])
def test_er_that_means_a_child_is_a_syllable(text):
    found = phonemes.phonemes(text, "zh")

    assert found[found.index("ɚ") + 1] == "˧˥"
    assert found.index("ɚ") == 0 or found[found.index("ɚ") - 1] in {"˥", "˧˥", "˨˩˦", "˥˩"}


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("妈妈", ["m", "a", "˥", "m", "a"]),
        ("谢谢", ["ɕ", "j", "ɛ", "˥˩", "ɕ", "j", "ɛ"]),
        ("朋友", ["pʰ", "ə", "ŋ", "˧˥", "j", "ou"]),
        ("告诉", ["k", "au", "˥˩", "s", "u"]),
        ("要看看", ["j", "au", "˥˩", "kʰ", "a", "n", "˥˩", "kʰ", "a", "n"]),
        ("天天", ["tʰ", "j", "ɛ", "n", "˥", "tʰ", "j", "ɛ", "n", "˥"]),
        ("友朋", ["j", "ou", "˨˩˦", "pʰ", "ə", "ŋ", "˧˥"]),
    ],
)
def test_the_second_syllable_of_some_mandarin_words_has_no_tone(text, symbols):
    assert phonemes.phonemes(text, "zh") == symbols


def test_two_words_that_meet_are_not_a_word_with_a_neutral_tone():
    assert phonemes.phonemes("学生", "zh") == ["ɕ", "ɥ", "ɛ", "˧˥", "ʂ", "ə", "ŋ"]
    assert phonemes.phonemes("同学生气", "zh")[-7:] == ["ʂ", "ə", "ŋ", "˥", "tɕʰ", "i", "˥˩"]


@pytest.mark.parametrize(
    ("text", "particle"),
    [
        ("慢慢地走", ["t", "ɤ", "ts"]),
        ("高兴地说", ["t", "ɤ", "ʂ"]),
        ("跑得快", ["t", "ɤ", "kʰ"]),
        ("随地吐痰", ["t", "i", "˥˩"]),
        ("坐在地上", ["t", "i", "˥˩"]),
        ("中国地里", ["t", "i", "˥˩"]),
        ("静静地，走", ["t", "ɤ", "ts"]),
        ("中国地，走", ["t", "i", "˥˩"]),
        ("！！地走", ["t", "i", "˥˩"]),
        ("地走", ["t", "i", "˥˩"]),
        ("他们得走", ["t", "ɤ", "˧˥"]),
        ("终于得走", ["t", "ɤ", "˧˥"]),
        ("今天得到", ["t", "ɤ", "˧˥"]),
        ("跑得，", ["t", "ɤ", "˧˥"]),
        ("，得快", ["t", "ɤ", "˧˥"]),
        ("获得快", ["t", "ɤ", "˧˥"]),
        ("得快", ["t", "ɤ", "˧˥"]),
    ],
)
def test_the_particles_de_are_neutral_and_the_ground_and_the_verb_are_not(text, particle):
    found = phonemes.phonemes(text, "zh")

    assert any(found[place : place + 3] == particle for place in range(len(found)))


def test_the_glide_of_yo_is_kept():
    assert phonemes.phonemes("哎哟", "zh") == ["ai", "˥", "j", "o", "˥"]


def test_full_width_punctuation_is_no_phoneme_and_full_width_letters_and_digits_leave_none():
    assert phonemes.phonemes("“你，好……”——！？：；（）《》、～　·", "zh") == phonemes.phonemes("你好", "zh")
    assert phonemes.phonemes("你好ＯＫ", "zh") is None
    assert phonemes.phonemes("３天", "zh") is None


def test_pinyin_gives_the_symbols_of_its_characters():
    assert phonemes.pinyin_phonemes("ni3 hao3 ma5") == phonemes.phonemes("你好吗", "zh")
    assert phonemes.pinyin_phonemes("nv3 si4") == ["n", "y", "˨˩˦", "s", "z̩", "˥˩"]


@pytest.mark.parametrize("pinyin", [None, "", "SIL", "ni", "ni6", "xyz1", "bq1", "ni3 ?"])
def test_what_is_not_pinyin_has_no_phonemes(pinyin):
    assert phonemes.pinyin_phonemes(pinyin) is None
