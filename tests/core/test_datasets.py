"""What datasets share: samples by index in chunks, those that can not be read, fingerprints of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.api import (
    Batch,
    ClassificationTarget,
    DataError,
    GeneratedDataset,
    IndexedDataset,
    UnreadableSample,
    evenly,
    files_fingerprint,
)

Sample = tuple[NDArray[np.uint8], ClassificationTarget]


class Grays(IndexedDataset):
    """Sample i is gray level i; every fifth one is damaged."""

    def __init__(self, count: int = 12) -> None:
        self.count = count
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.count

    def sample_id(self, index: int) -> str:
        return f"gray-{index}"

    def sample(self, index: int) -> Sample:
        self.read.append(index)
        if index % 5 == 4:
            raise UnreadableSample(f"level {index} is damaged")
        return np.full((2, 3, 1), index, np.uint8), ClassificationTarget(label=str(index))


class Dice(GeneratedDataset[SimpleNamespace]):
    def sample(self, index: int) -> Sample:
        return self.generator(index).integers(0, 256, (4, 4, 1), np.uint8), ClassificationTarget(label="dice")


def dice(count: int = 5, split: str = "test", seed: int = 0) -> Dice:
    return Dice(SimpleNamespace(count=count, split=split, seed=seed))


def contents(batches: Iterator[Batch]) -> list[tuple[int, str, str]]:
    """(gray level, label, id) of what could be read."""
    found = []
    for batch in batches:
        for image, target, id_ in zip(batch.images, batch.targets, batch.ids, strict=True):
            assert isinstance(target, ClassificationTarget)
            found.append((int(image[0, 0, 0]), target.label, id_))
    return found


@given(st.integers(1, 15), st.none() | st.lists(st.integers(0, 11), max_size=30))
def test_chunks_keep_the_order_and_lose_nothing(size: int, indices: list[int] | None) -> None:
    wanted = list(range(12)) if indices is None else indices
    batches = list(Grays().batches(size, indices))
    taken = [len(batch.ids) + len(batch.unreadable) for batch in batches]
    assert taken == [min(size, len(wanted) - start) for start in range(0, len(wanted), size)]
    assert contents(iter(batches)) == [(i, str(i), f"gray-{i}") for i in wanted if i % 5 != 4]
    damaged = [(each.id, each.reason) for batch in batches for each in batch.unreadable]
    assert damaged == [(f"gray-{i}", f"level {i} is damaged") for i in wanted if i % 5 == 4]


def test_indices_may_repeat_and_may_be_numpy_integers() -> None:
    (batch,) = Grays().batches(9, [3, 1, 3, 4, 4])
    assert batch.ids == ["gray-3", "gray-1", "gray-3"]
    assert [each.id for each in batch.unreadable] == ["gray-4", "gray-4"]
    (batch,) = Grays().batches(9, np.array([2, 0]))  # type: ignore[arg-type]
    assert batch.ids == ["gray-2", "gray-0"]


def test_samples_are_read_when_their_batch_is_asked_for() -> None:
    data = Grays()
    batches = data.batches(2)
    assert data.read == []
    next(batches)
    assert data.read == [0, 1]


def test_no_sample_is_no_batch() -> None:
    assert list(Grays(0).batches(4)) == []
    assert list(Grays().batches(4, [])) == []


@pytest.mark.parametrize("index", [-1, 12, 99])
def test_an_index_outside_is_an_error_before_anything_is_read(index: int) -> None:
    data = Grays()
    with pytest.raises(IndexError, match=rf"there is no sample {index}: the dataset has 12"):
        next(data.batches(1, [0, index]))
    assert data.read == []


def test_only_unreadable_samples_are_collected() -> None:
    class Broken(Grays):
        def sample(self, index: int) -> Sample:
            raise DataError("the disk is gone")

    with pytest.raises(DataError, match="the disk is gone"):
        next(Broken().batches(1))


def test_generated_samples_depend_on_seed_split_and_index_alone() -> None:
    variants = [dice(split=split, seed=seed) for split in ("train", "val", "test") for seed in (0, 1)]
    images = [data.sample(index)[0].tobytes() for data in variants for index in range(5)]
    assert len(set(images)) == len(images)
    (batch,) = dice(count=1000).batches(2, [3, 0])
    assert batch.ids == ["test-00003", "test-00000"]
    np.testing.assert_array_equal(batch.images[0], dice().sample(3)[0])
    expected = np.random.default_rng([7, 1, 3]).integers(0, 256, (4, 4, 1), np.uint8)
    np.testing.assert_array_equal(dice(split="val", seed=7).sample(3)[0], expected)
    assert dice().fingerprint() == ""


@pytest.mark.parametrize("index", [-1, 5])
def test_a_generated_sample_outside_is_an_error(index: int) -> None:
    with pytest.raises(IndexError):
        dice().sample(index)


def test_a_dataset_without_its_methods_can_not_be_made() -> None:
    class Half(IndexedDataset):
        def __len__(self) -> int:
            return 1

    with pytest.raises(TypeError, match="sample"):
        Half()  # type: ignore[abstract]


@given(st.integers(1, 40), st.none() | st.integers(1, 50))
def test_evenly_spaced_items_are_distinct_and_in_order(total: int, count: int | None) -> None:
    chosen = evenly(range(total), count)
    assert len(chosen) == min(total, count or total)
    assert chosen[0] == 0
    gaps = set(np.diff(chosen).tolist())
    assert min(gaps, default=1) >= 1
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "data" / name for name in ("a.png", "b/c.png", "absent.png")]
    paths[1].parent.mkdir(parents=True)
    for path in paths[:2]:
        path.write_bytes(b"12345")
        os.utime(path, ns=(10**18, 10**18))
    return paths


def fingerprint(files: list[Path], extra: bytes = b"") -> str:
    return files_fingerprint(files[0].parent, files, extra)


def test_a_fingerprint_is_stable_and_counts_a_path_once(files: list[Path]) -> None:
    assert fingerprint(files) == fingerprint([*files, files[0]])
    assert len(fingerprint(files)) == 64


def test_size_time_absence_name_order_and_extra_change_a_fingerprint(files: list[Path]) -> None:
    found = [fingerprint(files), fingerprint(files, b"index"), fingerprint(files[::-1]), fingerprint(files[:2])]
    os.utime(files[0], ns=(10**18, 10**18 + 1))
    found.append(fingerprint(files))
    files[0].write_bytes(b"1234")
    os.utime(files[0], ns=(10**18, 10**18))
    found.append(fingerprint(files))
    files[0].unlink()
    found.append(fingerprint(files))
    files[0].write_bytes(b"12345")
    os.utime(files[0], ns=(10**18, 10**18))
    assert fingerprint(files) == found[0]
    files[1] = files[1].rename(files[1].with_name("d.png"))
    found.append(fingerprint(files))
    assert len(set(found)) == len(found)


def test_names_are_relative_to_the_root_and_in_full_outside(files: list[Path], tmp_path: Path) -> None:
    before = fingerprint(files)
    moved = (tmp_path / "data").rename(tmp_path / "moved")
    assert files_fingerprint(moved, [moved / path.relative_to(tmp_path / "data") for path in files]) == before
    assert files_fingerprint(tmp_path / "elsewhere", [moved / "a.png"]) != files_fingerprint(moved, [moved / "a.png"])


def test_a_name_that_no_file_can_have_is_absent(files: list[Path]) -> None:
    root = files[0].parent
    assert files_fingerprint(root, [root / "\0.png"]) == files_fingerprint(root, [root / "\0.png"])
    assert files_fingerprint(root, [files[0] / "below-a-file.png"])
