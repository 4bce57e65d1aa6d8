"""Transcripts to IPA symbols, shared by all languages: one symbol per phoneme.

espeak-ng reads most languages. Mandarin goes through pypinyin: the initial and the phonemes of the final, then the
tone as a symbol of its own (`˥ ˧˥ ˨˩˦ ˥˩`, nothing for the neutral tone). IPA of pinyin after Lee and Zee 2003,
https://doi.org/10.1017/S0025100303001208, and Duanmu 2007, The Phonology of Standard Chinese.
This module adds what pypinyin leaves out: the suffix 儿 as the end of the syllable before it (Duanmu, chapter 9), words
whose second syllable is neutral, and the particles 地 and 得.
"""

import re
import unicodedata
from functools import lru_cache

VOICES = {"en": "en-gb"}  # where the espeak-ng voice is not named as the language
STRESS = "ˈˌ"
LANGUAGE_FLAG = re.compile(r"\([^()]*\)")
TONE_LETTERS = "˥˦˧˨˩"
# One sign per sound: espeak-ng writes some sounds with similar signs, or with two signs in place of one.
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
FINAL_OF = {"yo": "io"}  # pypinyin drops the glide of this one
APICAL = {"zh": "ʐ̩", "ch": "ʐ̩", "sh": "ʐ̩", "r": "ʐ̩", "z": "z̩", "c": "z̩", "s": "z̩"}  # `i` behind these
# Before the suffix 儿 a final loses its -n or -i, and a vowel that is the suffix's own. The others stay.
RHOTIC = {
    "ai": "a", "ei": "", "an": "a", "en": "", "ian": "j a", "in": "i", "uai": "w a", "uei": "w", "uan": "w a",
    "uen": "w", "van": "ɥ a", "vn": "y",
}  # fmt: skip
SUFFIX = "儿"
# Beside these characters, 儿 is a syllable of its own and means a child or a young person.
CHILD_BEFORE = set("女婴幼孤少男胎健宠妻弃育托患乳侄娇混血运能儿")
CHILD_AFTER = set("子女童媳孙戏科歌时郎")
# From the list of words that must be read with a neutral tone in the Putonghua Proficiency Test (普通话水平测试用
# 必读轻声词语表, 2004), without those that have a second reading; then reduplicated verbs.
NEUTRAL_WORDS = (
    "爱人 爸爸 帮手 包袱 别扭 部分 苍蝇 差事 称呼 窗户 答应 打扮 打发 打量 打算 打听 耽搁 耽误 灯笼 弟弟 点心 "
    "动静 豆腐 对付 耳朵 风筝 福气 告诉 疙瘩 哥哥 胳膊 功夫 公公 姑姑 姑娘 骨头 故事 关系 官司 规矩 闺女 哈欠 含糊 和尚 "
    "核桃 后头 狐狸 糊涂 护士 活泼 伙计 机灵 记性 家伙 嫁妆 见识 将就 交情 叫唤 结实 姐夫 姐姐 戒指 舅舅 咳嗽 客气 "
    "口袋 窟窿 快活 困难 喇叭 老婆 老实 老爷 姥姥 篱笆 里头 力气 厉害 凉快 粮食 萝卜 骆驼 妈妈 麻烦 马虎 码头 眉毛 "
    "妹妹 迷糊 苗条 名堂 名字 明白 蘑菇 模糊 木匠 木头 奶奶 难为 脑袋 能耐 念叨 念头 娘家 女婿 暖和 盘算 朋友 脾气 屁股 "
    "漂亮 婆婆 欺负 前头 亲戚 清楚 拳头 热闹 认识 扫帚 商量 上司 舌头 牲口 师父 师傅 石榴 石头 时候 使唤 事情 "
    "收成 收拾 首饰 叔叔 舒服 疏忽 爽快 岁数 太太 挑剔 头发 唾沫 挖苦 娃娃 晚上 尾巴 委屈 位置 稳当 稀罕 媳妇 喜欢 下巴 "
    "吓唬 先生 相声 消息 小气 笑话 谢谢 心思 星星 猩猩 行李 休息 学生 学问 丫头 哑巴 眼睛 养活 吆喝 妖精 钥匙 爷爷 衣服 "
    "衣裳 意思 应酬 冤枉 月饼 月亮 云彩 在乎 早上 招呼 折腾 芝麻 知识 指甲 指头 主意 嘴巴 琢磨 "
    "看看 听听 想想 试试 说说 问问 走走 聊聊 谈谈 尝尝 瞧瞧 玩玩"
)
NEUTRAL = frozenset(NEUTRAL_WORDS.split())
NO_ADVERB = set("上下里面是在的和有与")  # behind 地 they make it a noun, the ground
NO_COMPLEMENT_BEFORE = set("我你您他她它们咱谁就总还也都又可必只才非不难已于")  # 得 behind them is a verb


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


def pinyin_phonemes(pinyin: str | None) -> list[str] | None:
    """Read Mandarin syllables as IPA symbols, the same as those of [`phonemes`].

    Args:
        pinyin (`str`, *optional*): syllables with their tones as digits, 5 for the neutral tone, such as `"jiu4 shi4"`.

    Returns:
        `list[str]`: one symbol per phoneme or tone; `None` without syllables, or if one of them is not pinyin.

    Raises:
        ImportError: if pypinyin is needed and not installed.
    """
    symbols: list[str] = []
    for syllable in (pinyin or "").split():
        if not PINYIN.fullmatch(syllable):
            return None
        try:
            symbols += _syllable(syllable[:-1], TONES[syllable[-1]])
        except KeyError:
            return None
    return symbols or None


@lru_cache(maxsize=65536)
def _cached(text: str, language: str) -> tuple[str, ...]:
    return tuple(_mandarin(text) if language == "zh" else _espeak(text, language))


def _espeak(text: str, language: str) -> list[str]:
    from speecheq.dataset_scripts.build import espeak

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
        from pypinyin.contrib.mmseg import seg
    except ImportError as error:
        raise ImportError(
            "phonemes: pypinyin must be installed for Mandarin; got no such module. Run `pip install pypinyin`."
        ) from error

    if any(sign.isascii() and sign.isalnum() for sign in text):
        return []  # half a transcript would be a wrong one
    words = list(seg.cut(text))
    lengths = [len(word) for word in words for _ in word]  # of the word that each sign stands in
    syllables = lazy_pinyin(words, style=Style.TONE3, neutral_tone_with_five=True, errors=list)  # one per sign
    symbols: list[str] = []
    for place, syllable in enumerate(syllables):
        if PINYIN.fullmatch(syllable):
            if not _is_suffix(text, place):
                pinyin, tone = _in_context(text, place, lengths, syllable)
                symbols += _syllable(pinyin, TONES[tone], _is_suffix(text, place + 1))
        elif any(sign.isalnum() for sign in syllable):
            return []  # a character that pypinyin does not know
    return symbols


def _is_suffix(text: str, place: int) -> bool:
    """Whether a sign is the 儿 that makes the syllable before it end in an r."""
    if text[place : place + 1] != SUFFIX or place == 0 or not _is_han(text[place - 1]):
        return False
    return text[place - 1] not in CHILD_BEFORE and text[place + 1 : place + 2] not in CHILD_AFTER


def _in_context(text: str, place: int, lengths: list[int], syllable: str) -> tuple[str, str]:
    """Pinyin and tone of a syllable, with a neutral tone if the word or the particle requires it."""
    sign, before, after = text[place], text[max(place - 1, 0) : place], text[place + 1 : place + 2]
    within = place > 0 and (lengths[place] > 1 or lengths[place - 1] == 1)  # no border of a longer word between
    if within and before + sign in NEUTRAL:
        return syllable[:-1], "5"
    if lengths[place] == 1 and _is_han(before):
        followed = _is_han(after)
        doubled = before == text[max(place - 2, 0) : place - 1]
        adverb = (doubled or (lengths[place - 1] > 1 and followed)) and after not in NO_ADVERB
        complement = followed and before not in NO_COMPLEMENT_BEFORE and after != "到"
        if (sign == "地" and adverb) or (sign == "得" and complement):
            return "de", "5"
    return syllable[:-1], syllable[-1]


def _is_han(sign: str) -> bool:
    return "\u4e00" <= sign <= "\u9fff"


def _syllable(pinyin: str, tone: str, rhotic: bool = False) -> list[str]:
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    final = FINAL_OF.get(pinyin) or to_finals(pinyin, strict=True) or pinyin
    initial = "" if final == pinyin else to_initials(pinyin, strict=True)
    apical = final == "i" and initial in APICAL
    vowels = APICAL[initial] if apical else FINALS[final]
    if rhotic:
        vowels = f"{'' if apical else RHOTIC.get(final, vowels)} {FINALS['er']}"
    return [symbol for symbol in (INITIALS[initial], *vowels.split(), tone) if symbol]
