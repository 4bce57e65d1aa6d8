"""Bindings of espeak-ng: text to IPA and text to speech, with the library of `pip install espeakng-loader`.

Source of every constant: https://github.com/espeak-ng/espeak-ng/blob/1.52.0/src/include/espeak-ng/speak_lib.h
"""

import _ctypes
import ctypes
import difflib
import re
import shutil
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path

import numpy as np

AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_DONT_EXIT = 0x8000
CHARS_UTF8 = 1
POS_CHARACTER = 1
PHONEMES_IPA = 0x02
SEPARATOR_SHIFT = 8  # bits 8-23 of the phoneme mode hold the separator
# setting -> (number in espeak_PARAMETER, minimum, maximum)
PARAMETERS = {"rate": (1, 80, 450), "volume": (2, 0, 200), "pitch": (3, 0, 100), "pitch_range": (4, 0, 100)}
# "(en)" marks a word that espeak-ng pronounces in another language.
LANGUAGE_FLAG = re.compile(r"\([a-z-]+\)")
SEED = 1

_lock = threading.Lock()


class EspeakError(RuntimeError):
    """espeak-ng is missing, or a call failed."""


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def ipa(text: str, voice: str) -> str:
    """Convert a text to IPA.

    Args:
        text (`str`): one or more sentences.
        voice (`str`): a language of espeak-ng, with or without a variant, such as `"en-gb"` or `"en-gb+f2"`.

    Returns:
        `str`: phonemes, separated by `_` within a word and by a space between words, such as `"h_ə_l_ˈəʊ w_ˈɜː_l_d"`.
        A symbol includes the stress mark before it and the length mark after it.

    Raises:
        EspeakError: if the library is missing, or the voice is unknown.
    """
    with _lock:
        library = _shared_library()
        _set_voice(library, _identifier(voice), voice)
        buffer = ctypes.create_string_buffer(text.encode("utf-8"))
        rest = ctypes.c_void_p(ctypes.addressof(buffer))
        mode = PHONEMES_IPA | ord("_") << SEPARATOR_SHIFT
        clauses = []
        while rest.value:  # each call reads one clause and advances `rest`
            clause = library.espeak_TextToPhonemes(ctypes.byref(rest), CHARS_UTF8, mode)
            clauses.append((clause or b"").decode("utf-8"))
    words = (word.strip("_") for word in LANGUAGE_FLAG.sub("", " ".join(clauses)).split())
    return " ".join(re.sub("_+", "_", word) for word in words if word)


def speak(
    text: str, voice: str, rate: int = 175, pitch: int = 50, pitch_range: int = 50, volume: int = 100
) -> tuple[np.ndarray, int]:
    """Synthesise a text. The same arguments always give the same samples.

    Args:
        text (`str`): the text.
        voice (`str`): a language of espeak-ng, with or without a variant, such as `"cmn+m3"`.
        rate (`int`, *optional*, defaults to 175): words per minute, 80 to 450.
        pitch (`int`, *optional*, defaults to 50): base pitch, 0 to 100.
        pitch_range (`int`, *optional*, defaults to 50): variation of the pitch, 0 (monotone) to 100.
        volume (`int`, *optional*, defaults to 100): 0 to 200; above 100 peaks may clip.

    Returns:
        `tuple[np.ndarray, int]`: float32 samples of shape `(samples,)` in [-1, 1], and the sampling rate in Hz.

    Raises:
        EspeakError: if the library is missing, the voice is unknown, or synthesis fails.
        ValueError: if a setting is out of range.
    """
    settings = {"rate": rate, "pitch": pitch, "pitch_range": pitch_range, "volume": volume}
    for name, value in settings.items():
        _, least, greatest = PARAMETERS[name]
        if not least <= value <= greatest:
            raise ValueError(f"speak: {name} must be from {least} to {greatest}; got {value} for {text!r}.")
    chunks = []

    @_SynthCallback
    def collect(samples, count, events):
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    with _lock:
        identifier = _identifier(voice)
        library, sampling_rate = _fresh_library()
        try:
            library.espeak_SetSynthCallback(collect)
            _set_voice(library, identifier, voice)
            for name, value in settings.items():
                library.espeak_SetParameter(PARAMETERS[name][0], int(value), 0)
            _seed(library)
            data = text.encode("utf-8")
            status = library.espeak_Synth(data, len(data) + 1, 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
        finally:
            library.espeak_Terminate()
            _unload(library)
    if status:
        raise EspeakError(f"speak: espeak_Synth must return 0; got {status} for {text!r}.")
    samples = np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
    return samples.astype(np.float32) / 32768, sampling_rate


def _loader():
    try:
        import espeakng_loader
    except ImportError as error:
        raise EspeakError(
            "espeak: espeak-ng must be installed; got no module 'espeakng_loader'. Run `pip install espeakng-loader`."
        ) from error
    return espeakng_loader


def _open(path: str) -> tuple[ctypes.CDLL, int]:
    """Load and initialise the library at `path`; return it and its sampling rate in Hz."""
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise EspeakError(
            f"espeak: the library must load; got {error}. Run `pip install --force-reinstall espeakng-loader`."
        ) from error
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    library.espeak_ListVoices.argtypes = [ctypes.c_void_p]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
        ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    data = str(_loader().get_data_path())
    sampling_rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data.encode(), INITIALIZE_DONT_EXIT)
    if sampling_rate <= 0:
        raise EspeakError(f"espeak: espeak_Initialize must return a sampling rate; got {sampling_rate} with {data!r}.")
    return library, sampling_rate


@cache
def _shared_library() -> ctypes.CDLL:
    """Return the library for text to IPA, initialised once per process."""
    return _open(str(_loader().get_library_path()))[0]


def _fresh_library() -> tuple[ctypes.CDLL, int]:
    """Load a private copy of the library for one utterance, which takes about 20 ms.

    Neither espeak_Initialize nor a seed resets the static variable of the pitch flutter (`Flutter_ix` in wavegen.c), so
    only a fresh copy gives the same samples each time.
    """
    source = Path(_loader().get_library_path())
    # Windows cannot delete the loaded copy.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return _open(str(shutil.copyfile(source, Path(folder) / source.name)))


def _unload(library: ctypes.CDLL):
    close = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary
    close(library._handle)


def _seed(library: ctypes.CDLL):
    """Seed the random generators of espeak-ng and of the C library, which produce breath and roughness."""
    library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))
    (ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)).srand(SEED)


@cache
def voices() -> dict[str, str]:
    """Return the voices of espeak-ng by all their names.

    Returns:
        `dict[str, str]`: language, file name or identifier in lower case -> identifier, such as `en-gb` -> `gmw/en`.

    Raises:
        EspeakError: if the library is missing.
    """
    ranked: dict[str, tuple[int, str]] = {}
    listed = _shared_library().espeak_ListVoices(None)
    for index in range(100_000):
        if not listed[index]:
            break
        voice = listed[index].contents
        identifier = voice.identifier.decode().replace("\\", "/")
        names = [(-2, identifier), (-1, identifier.rsplit("/", 1)[-1]), *_languages(voice.languages)]
        for priority, name in names:
            ranked[name.lower()] = min(ranked.get(name.lower(), (priority, identifier)), (priority, identifier))
    return {name: identifier for name, (_, identifier) in ranked.items()}


def _languages(address: int) -> list[tuple[int, str]]:
    """Decode `languages` of an espeak_VOICE: repeated pairs of a priority byte and a string, ended by a zero byte."""
    found = []
    while priority := ctypes.string_at(address, 1)[0]:
        name = ctypes.string_at(address + 1)
        found.append((priority, name.decode()))
        address += len(name) + 2
    return found


def _identifier(voice: str) -> str:
    """Return the name of a voice for espeak_SetVoiceByName: `en-gb+f2` -> `gmw/en+f2`.

    espeak_SetVoiceByName accepts only file names, not languages, and silently ignores an unknown variant.
    """
    language, plus, variant = voice.partition("+")
    known = voices()
    if language.lower() not in known:
        near = ", ".join(difflib.get_close_matches(language.lower(), known, n=10)) or "none"
        raise EspeakError(
            f"espeak: voice must be a language of espeak-ng; got {voice!r}. Nearest: {near}. "
            "`espeak.voices()` lists all voices."
        )
    variants = Path(_loader().get_data_path()) / "voices" / "!v"
    if plus and not (variant and (variants / variant).is_file()):
        names = [path.name for path in variants.iterdir()]
        near = ", ".join(difflib.get_close_matches(variant, sorted(names), n=10, cutoff=0.3)) or "none"
        raise EspeakError(
            f"espeak: the variant of a voice must be a file of {variants}; got {voice!r}. Nearest: {near}."
        )
    return known[language.lower()] + plus + variant


def _set_voice(library: ctypes.CDLL, identifier: str, voice: str):
    status = library.espeak_SetVoiceByName(identifier.encode())
    if status:
        raise EspeakError(f"espeak: espeak_SetVoiceByName must return 0; got {status} for voice {voice!r}.")
