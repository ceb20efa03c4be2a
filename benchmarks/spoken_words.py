"""A data set of spoken words, made by speech synthesizers, that anybody can make again.

python -m benchmarks.spoken_words OUT [--seed 0]

Writes OUT/{train,val,test}/WORD/SPEAKER_N.wav, clips of 1 s at 16 kHz, about 500 MB, in some
minutes. Needs the programs `espeak-ng` and `flite` (Debian packages of the same names).

| part | words | clips of each | speakers |
|---|---|---|---|
| train | 800 made up of syllables | 16 | eSpeak NG: 8 accents, 40 voices |
| val | 60 others, made up | 16 | eSpeak NG: 8 accents, 12 other voices |
| test | 60 English ones | 20 | Flite: 4 voices, three of them from recordings of people |

So the words of a test are new, and so are the voices and even the way speech is made. Every clip
has another rate and pitch, lies somewhere in its second, and has a room, a level and noise of its
own. The same seed gives the same clips with the same versions of the programs.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgemeta.data._wav import read_wav, resample

RATE = 16_000  # Hz
LENGTH = RATE  # of a clip, in samples
PROGRAMS = ("espeak-ng", "flite")

ACCENTS = (
    *("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp"),
    *("en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"),
)
TRAIN_VOICES = (
    *("m1", "m2", "m3", "m5", "m6", "m8", "f1", "f3", "f4", "f5", "klatt", "klatt2", "klatt4"),
    *("Alex", "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo"),
    *("Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "adam", "anika", "antonio", "belinda"),
    *("benjamin", "boris", "caleb", "david", "edward", "linda", "steph"),
)
VAL_VOICES = (
    *("m4", "m7", "f2", "klatt3", "max", "michel"),
    *("paul", "pablo", "quincy", "rob", "shelby", "victor"),
)
TEST_VOICES = ("kal16", "awb", "rms", "slt")

ONSETS = "b d f g h j k l m n p r s t v w z sh ch th st tr br gl kr pl sp"
NUCLEI = "a e i o u ee oo ai ow ar"
CODAS = "n m l r s t k p d"
ENDS_OPEN = 0.25  # share of syllables without a coda
SYLLABLES = (0.3, 0.5, 0.2)  # shares of words with one, two, three

ENGLISH = (
    "yes no up down left right on off stop go zero one two three four five six seven eight nine "
    "bed bird cat dog happy house tree wow forward backward follow learn visual sheila open close "
    "start pause next back light door music volume louder kitchen window garden coffee water "
    "morning evening summer winter call cancel camera "
    "switch record finish"
)


@dataclass(frozen=True)
class Part:
    """One part of the data set.

    Attributes:
        name: "train", "val" or "test".
        words: that are spoken.
        clips: of each word.
    """

    name: str
    words: Sequence[str]
    clips: int


def parts(seed: int) -> tuple[Part, ...]:
    """Return the parts, with made-up words that are no English ones and all different."""
    made_up = _made_up(np.random.default_rng(seed))
    train = [next(made_up) for _ in range(800)]
    val = [next(made_up) for _ in range(60)]
    return Part("train", train, 16), Part("val", val, 16), Part("test", ENGLISH.split(), 20)


def _made_up(rng: np.random.Generator) -> Iterator[str]:
    """Yield words of one to three syllables, none twice."""
    said = set(ENGLISH.split())
    onsets, nuclei, codas = (sounds.split() for sounds in (ONSETS, NUCLEI, CODAS))
    while True:
        word = ""
        for _ in range(1 + rng.choice(len(SYLLABLES), p=SYLLABLES)):
            word += str(rng.choice(onsets)) + str(rng.choice(nuclei))
            word += "" if rng.random() < ENDS_OPEN else str(rng.choice(codas))
        if word not in said:
            said.add(word)
            yield word


def clip(part: str, word: str, rng: np.random.Generator) -> tuple[str, NDArray[np.float32]]:
    """Speak a word.

    Returns:
        The speaker's name; (LENGTH,) float32, full scale 1.
    """
    speaker, command = (_flite if part == "test" else partial(_espeak, part))(word, rng)
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(
            [*command, file.name, *([word] if part != "test" else [])],
            check=True,
            capture_output=True,
        )
        speech = resample(*read_wav(Path(file.name)), RATE)
    return speaker, recorded(trimmed(speech), rng)


def _espeak(part: str, word: str, rng: np.random.Generator) -> tuple[str, list[str]]:
    accent = str(rng.choice(ACCENTS))
    voice = str(rng.choice(TRAIN_VOICES if part == "train" else VAL_VOICES))
    rate, pitch = rng.integers(130, 211), rng.integers(25, 76)
    options = ["-v", f"{accent}+{voice}", "-s", str(rate), "-p", str(pitch), "-w"]
    return f"{accent}-{voice}", ["espeak-ng", *options]


def _flite(word: str, rng: np.random.Generator) -> tuple[str, list[str]]:
    voice = str(rng.choice(TEST_VOICES))
    stretch = f"duration_stretch={rng.uniform(0.8, 1.25):.3f}"
    shift = f"f0_shift={rng.uniform(0.85, 1.2):.3f}"
    options = ["-voice", voice, "--setf", stretch, "--setf", shift, "-t", word, "-o"]
    return voice, ["flite", *options]


def trimmed(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut silence off both ends, and what is longer than a clip."""
    (loud,) = np.nonzero(np.abs(speech) > 0.02 * np.abs(speech).max())
    kept: NDArray[np.float32] = speech[loud[0] : loud[-1] + 1][:LENGTH]
    return kept


def recorded(speech: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Put speech somewhere into a clip, as a microphone in a room would hear it."""
    dry = np.zeros(LENGTH)
    begin = rng.integers(0, LENGTH - len(speech) + 1)
    dry[begin : begin + len(speech)] = speech / np.abs(speech).max()
    heard = _in_a_room(dry, rng) if rng.random() < 0.5 else dry
    power = np.mean(speech**2) / np.abs(speech).max() ** 2
    decibels = rng.uniform(8, 40)  # of the word above the noise
    heard += _noise(rng) * np.sqrt(power / 10 ** (decibels / 10))
    level = 10 ** (rng.uniform(-26, -2) / 20)
    heard *= level / np.abs(heard).max()
    return heard.astype(np.float32)


def _in_a_room(dry: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Add an echo that dies away: noise under an exponential, 0.1 to 0.5 s down to -60 dB."""
    dies = rng.uniform(0.1, 0.5)
    time = np.arange(int(dies * RATE)) / RATE
    echo = rng.standard_normal(len(time)) * 10 ** (-3 * time / dies)
    echo *= rng.uniform(0.1, 0.5) / np.sqrt(np.sum(echo**2))
    echo[0] = 1
    size = 2 * LENGTH
    wet: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(echo, size), size)
    return wet[:LENGTH]


def _noise(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return noise of mean square 1, whose power falls with frequency by a random exponent."""
    spectrum = np.fft.rfft(rng.standard_normal(LENGTH))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** -rng.uniform(0, 0.8)
    spectrum[0] = 0
    noise: NDArray[np.float64] = np.fft.irfft(spectrum, LENGTH)
    noise /= np.sqrt(np.mean(noise**2))
    return noise


def write_clip(path: Path, samples: NDArray[np.float32]) -> None:
    """Write a clip as 16-bit PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def write_word(out: Path, seed: int, part: Part, place: int) -> None:
    """Write all clips of one word."""
    word = part.words[place]
    folder = out / part.name / word
    folder.mkdir(parents=True)
    number = ("train", "val", "test").index(part.name)
    for n in range(part.clips):
        rng = np.random.default_rng((seed, number, place, n))
        speaker, samples = clip(part.name, word, rng)
        write_clip(folder / f"{speaker}_{n}.wav", samples)


@click.command(help="Make a data set of spoken words.")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True)
def main(out: Path, seed: int) -> None:
    """Write all parts."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        raise click.UsageError(f"install {' and '.join(missing)} first")
    if out.exists():
        raise click.UsageError(f"{out} is there already")
    work = [(part, place) for part in parts(seed) for place in range(len(part.words))]
    with ThreadPoolExecutor() as threads:
        done = threads.map(lambda each: write_word(out, seed, *each), work)
        for _ in tqdm(done, total=len(work), unit="word", disable=None):
            pass


if __name__ == "__main__":
    main()
