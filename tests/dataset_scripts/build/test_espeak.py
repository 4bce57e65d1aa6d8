"""espeak-ng: text to IPA, and reproducible speech."""

import sys

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")

from speecheq.dataset_scripts.build import espeak


def test_english_is_read_with_one_symbol_per_phoneme():
    assert espeak.ipa("The church's judge, hello there!", "en-gb") == "ð_ə tʃ_ˈɜː_tʃ_ɪ_z dʒ_ˈʌ_dʒ h_ə_l_ˈəʊ ð_ˈeə"


def test_every_clause_and_line_of_a_text_is_read():
    assert espeak.ipa("Yes. No?\nBird; key", "en-gb") == "j_ˈɛ_s n_ˈəʊ b_ˈɜː_d k_ˈiː"


def test_a_voice_is_found_by_language_by_file_and_with_a_variant():
    expected = "b_ˈɜː_d"
    assert [espeak.ipa("bird", voice) for voice in ("en-gb", "en", "EN-GB", "gmw/en", "en-gb+f2")] == [expected] * 5
    assert espeak.ipa("你好", "cmn+m3") == espeak.ipa("你好", "zh") == "n_i2_χ_ˈɑu2"


def test_american_and_british_english_differ():
    assert espeak.ipa("bird", "en-us") == "b_ˈɜː_d"
    assert espeak.ipa("hot", "en-us") == "h_ˈɑː_t"
    assert espeak.ipa("hot", "en-gb") == "h_ˈɒ_t"


def test_a_word_of_another_language_leaves_no_flag():
    assert espeak.ipa("你好 hello", "cmn") == "n_i2_χ_ˈɑu2 h_ə_l_ˈəʊ"


@pytest.mark.parametrize("text", ["", "...", " \n "])
def test_a_text_without_words_has_no_phonemes(text):
    assert espeak.ipa(text, "en") == ""


@pytest.mark.parametrize("variant", ["f2", "m3", "Annie"])
def test_the_same_call_gives_the_same_samples_after_any_other(variant):
    first, rate = espeak.speak("The boat", f"en-gb+{variant}")
    espeak.speak("我们看见房子", "cmn+m3", rate=300, pitch=99, pitch_range=0, volume=20)
    espeak.ipa("Guten Tag", "de")
    second, _ = espeak.speak("The boat", f"en-gb+{variant}")

    assert rate == 22050
    assert (first.dtype, first.ndim) == (np.float32, 1)
    assert 0.05 < np.abs(first).max() <= 1
    np.testing.assert_array_equal(first, second)


def test_speaking_leaves_the_reading_as_it_was():
    before = espeak.ipa("hello", "en-gb")
    espeak.speak("你好", "cmn+f2")
    assert espeak.ipa("hello", "en-gb") == before == "h_ə_l_ˈəʊ"


def test_rate_shortens_volume_softens_and_pitch_raises():
    plain, rate = espeak.speak("Anna found a key", "en+m3")
    fast, _ = espeak.speak("Anna found a key", "en+m3", rate=350)
    soft, _ = espeak.speak("Anna found a key", "en+m3", volume=30)
    high, _ = espeak.speak("Anna found a key", "en+m3", pitch=90)

    assert len(fast) < 0.65 * len(plain)
    assert len(soft) == len(plain)
    assert 0.2 < np.std(soft) / np.std(plain) < 0.5
    assert np.median(melody(high, rate)) > 1.2 * np.median(melody(plain, rate))


def test_pitch_range_widens_the_melody():
    flat, wide = (espeak.speak("Anna found a key", "en+m3", pitch_range=value) for value in (0, 99))
    assert np.std(melody(*flat)) < 0.5 * np.std(melody(*wide))


def melody(samples: np.ndarray, rate: int) -> np.ndarray:
    """Estimate the pitch in Hz of each loud frame of 40 ms: the lag from 60 to 250 Hz that correlates best."""
    size, least, most = rate // 25, rate // 250, rate // 60
    found = []
    for start in range(0, len(samples) - size - most, size):
        frame, longer = samples[start : start + size], samples[start : start + size + most]
        if np.std(frame) > 0.5 * np.std(samples):
            scores = [np.corrcoef(frame, longer[lag : lag + size])[0, 1] for lag in range(least, most)]
            found.append(rate / (least + int(np.argmax(scores))))
    return np.array(found)


def test_an_unknown_voice_is_refused_with_the_nearest_ones():
    with pytest.raises(espeak.EspeakError, match=r"language of espeak-ng; got 'cnm'\. Nearest: .*cmn"):
        espeak.speak("hello", "cnm")
    with pytest.raises(espeak.EspeakError, match=r"variant of a voice .*; got 'en\+f22'\. Nearest: .*f2"):
        espeak.ipa("hello", "en+f22")
    with pytest.raises(espeak.EspeakError, match=r"got 'en\+'"):
        espeak.ipa("hello", "en+")


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("rate", 79, "80 to 450"),
        ("pitch", 101, "0 to 100"),
        ("pitch_range", -1, "0 to 100"),
        ("volume", 201, "0 to 200"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting, value, rule):
    with pytest.raises(ValueError, match=f"speak: {setting} must be from {rule}; got {value} for 'hello'"):
        espeak.speak("hello", "en", **{setting: value})


def test_a_missing_library_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(espeak.EspeakError, match="Run `pip install espeakng-loader`"):
        espeak.speak("hello", "en")
