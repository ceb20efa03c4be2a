"""The data set of spoken words: what does not need the programs that speak."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.spoken_words import LENGTH, RATE, parts, recorded, trimmed, write_clip
from edgemeta.data._wav import read_wav


def test_no_word_is_in_two_parts_and_a_seed_gives_the_same() -> None:
    words = [word for part in parts(3) for word in part.words]
    assert len(words) == len(set(words)) == 800 + 60 + 60
    assert [part.words for part in parts(3)] == [part.words for part in parts(3)]
    assert parts(4)[0].words != parts(3)[0].words


def test_a_clip_is_speech_somewhere_in_a_second(tmp_path: Path) -> None:
    tone = np.sin(np.arange(RATE // 4) * 0.3).astype(np.float32)
    silence = np.zeros(RATE, np.float32)
    speech = trimmed(np.concatenate([silence, tone, silence]))
    assert abs(len(speech) - len(tone)) < 10
    assert len(trimmed(np.ones(2 * LENGTH, np.float32))) == LENGTH
    clips = [recorded(speech, np.random.default_rng(seed)) for seed in range(20)]
    middles = []
    for clip in clips:
        assert clip.shape == (LENGTH,)
        assert 0.04 < np.abs(clip).max() < 0.8
        power = np.convolve(clip**2, np.ones(len(tone)), "valid")
        middles.append(power.argmax() / LENGTH)
    assert min(middles) < 0.2
    assert max(middles) > 0.55
    again = recorded(speech, np.random.default_rng(0))
    assert np.array_equal(again, clips[0])
    write_clip(tmp_path / "clip.wav", again)
    read = read_wav(tmp_path / "clip.wav")
    assert read.rate == RATE
    np.testing.assert_allclose(read.samples, again, atol=2 / 2**15)  # 16 bits, cut off
