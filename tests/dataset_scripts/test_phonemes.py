import csv

import pytest

from speecheq.dataset_scripts import espeak, phonemes
from speecheq.dataset_scripts.phonemes import clean


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
