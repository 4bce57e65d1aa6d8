"""Transcripts to IPA symbols, shared by all languages: one symbol per phoneme.

espeak-ng reads most languages. Mandarin goes through pypinyin: the initial and the phonemes of the final, then the
tone as a symbol of its own (`˥ ˧˥ ˨˩˦ ˥˩`, nothing for the neutral tone). IPA of pinyin after Lee and Zee 2003,
https://doi.org/10.1017/S0025100303001208, and Duanmu 2007, The Phonology of Standard Chinese.
"""

import re
import unicodedata
from functools import lru_cache

VOICES = {"en": "en-gb"}  # where the espeak-ng voice is not named as the language
STRESS = "ˈˌ"
LANGUAGE_FLAG = re.compile(r"\([^()]*\)")
TONE_LETTERS = "˥˦˧˨˩"
# One sign per sound: espeak-ng writes some with look-alikes, or marks twice what one sign says.
SAME = {"ε": "ɛ", "g": "ɡ", ":": "ː", "ɲʲ": "ɲ", "ɑɑ": "ɑː"}
GLOTTAL = "ʔ"

PINYIN = re.compile("[a-zê]+[1-5]")
TONES = {"1": "˥", "2": "˧˥", "3": "˨˩˦", "4": "˥˩", "5": ""}
INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k", "k": "kʰ", "h": "x",
    "j": "tɕ", "q": "tɕʰ", "x": "ɕ", "zh": "ʈʂ", "ch": "ʈʂʰ", "sh": "ʂ", "r": "ʐ", "z": "ts", "c": "tsʰ", "s": "s",
    "": "",
}  # fmt: skip
FINALS = {
    "a": "a", "o": "o", "e": "ɤ", "ê": "ɛ", "er": "ɚ", "ai": "ai", "ei": "ei", "ao": "au", "ou": "ou",
    "an": "a n", "en": "ə n", "ang": "a ŋ", "eng": "ə ŋ", "ong": "ʊ ŋ",
    "i": "i", "ia": "j a", "io": "j o", "ie": "j ɛ", "iai": "j ai", "iao": "j au", "iou": "j ou", "ian": "j ɛ n",
    "in": "i n", "iang": "j a ŋ", "ing": "i ŋ", "iong": "j ʊ ŋ",
    "u": "u", "ua": "w a", "uo": "w o", "uai": "w ai", "uei": "w ei", "uan": "w a n", "uen": "w ə n",
    "uang": "w a ŋ", "ueng": "w ə ŋ",
    "v": "y", "ve": "ɥ ɛ", "van": "ɥ ɛ n", "vn": "y n", "m": "m", "n": "n", "ng": "ŋ", "hm": "x m", "hng": "x ŋ",
}  # fmt: skip
APICAL = {"zh": "ʐ̩", "ch": "ʐ̩", "sh": "ʐ̩", "r": "ʐ̩", "z": "z̩", "c": "z̩", "s": "z̩"}  # `i` behind these


def phonemes(text: str | None, language: str) -> list[str] | None:
    """Read a transcript as IPA symbols.

    Args:
        text (`str`, *optional*): transcript.
        language (`str`): ISO 639-1 code, or the name of an espeak-ng voice.

    Returns:
        `list[str]`: one symbol per phoneme, without stress, punctuation and word breaks; `None` without a transcript,
        in a language that cannot be read, or (Mandarin) with Latin letters or digits.

    Raises:
        EspeakError: if espeak-ng is needed and not installed.
        ImportError: if pypinyin is needed and not installed.
    """
    if not text:
        return None
    return list(_cached(unicodedata.normalize("NFC", text), language)) or None


@lru_cache(maxsize=65536)
def _cached(text: str, language: str) -> tuple[str, ...]:
    return tuple(_mandarin(text) if language == "zh" else _espeak(text, language))


def _espeak(text: str, language: str) -> list[str]:
    from speecheq.dataset_scripts import espeak

    voice = VOICES.get(language, language)
    if voice not in espeak.voices():
        return []
    return clean(espeak.ipa(text, voice))


def clean(ipa: str) -> list[str]:
    """Split what espeak-ng writes, such as `h_ə_l_ˈəʊ w_ˈɜː_l_d`, into clean symbols.

    Stress marks, flags of another language such as `(en)`, digits and punctuation go; a length mark stays with its
    vowel; a glottal stop or stød written with its vowel becomes a symbol of its own.
    """
    symbols: list[str] = []
    for word in LANGUAGE_FLAG.sub("", ipa).split():
        for written in word.split("_"):
            symbol = _clean_symbol(written)
            if symbol == "ː" and symbols:
                symbols[-1] += symbol
            elif symbol.startswith(GLOTTAL) and len(symbol) > 1:
                symbols += [GLOTTAL, symbol[len(GLOTTAL) :]]
            elif symbol and symbol != "ː":
                symbols.append(symbol)
    return symbols


def _clean_symbol(written: str) -> str:
    """Keep letters, modifier letters, combining marks and tone letters."""
    signs = [SAME.get(sign, sign) for sign in unicodedata.normalize("NFC", written) if sign not in STRESS]
    symbol = "".join(sign for sign in signs if unicodedata.category(sign)[0] in "LM" or sign in TONE_LETTERS)
    return SAME.get(symbol, symbol)


def _mandarin(text: str) -> list[str]:
    try:
        from pypinyin import Style, lazy_pinyin
    except ImportError as error:
        raise ImportError(
            "phonemes: pypinyin must be installed for Mandarin; got no such module. Run `pip install pypinyin`."
        ) from error

    if any(sign.isascii() and sign.isalnum() for sign in text):
        return []  # half a transcript would be a wrong one
    symbols: list[str] = []
    for syllable in lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True):
        if PINYIN.fullmatch(syllable):
            symbols += _syllable(syllable[:-1], TONES[syllable[-1]])
        elif any(sign.isalnum() for sign in syllable):
            return []  # a character that pypinyin does not know
    return symbols


def _syllable(pinyin: str, tone: str) -> list[str]:
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    final = to_finals(pinyin, strict=True) or pinyin
    initial = "" if final == pinyin else to_initials(pinyin, strict=True)
    vowels = APICAL[initial] if final == "i" and initial in APICAL else FINALS[final]
    return [symbol for symbol in (INITIALS[initial], *vowels.split(), tone) if symbol]
