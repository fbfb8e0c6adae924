"""TAU Graded Relevances 2023 (Xie et al. 2023): human ratings of how relevant Clotho's recordings are to captions."""

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from common.errors import DataError
from common.numbers import number_in
from datamodules.csv_files import read_csv

HOW_TO_GET = (
    "get TAU Graded Relevances 2023 (github.com/xieh97/retrieval-relevance-crowdsourcing), and give the folder that "
    "holds relevance_data/ and text_data/ as --ratings, with --split development or validation"
)


@dataclass(frozen=True)
class Rating:
    """The rating of one query and one clip.

    Attributes:
        query_id: of the caption that served as the query; one of `caption_ids` where it describes this very clip.
        query: its text.
        clip_id: of the clip.
        group: how the clip was chosen: "TP" the query's own clip, "C15" a candidate, "TN" a clip at random.
        rating: from 0 (not relevant at all) to 1; the file has 0 to 100.
        caption_ids: of all captions of the clip.
        captions: their texts.
    """

    query_id: str
    query: str
    clip_id: str
    group: str
    rating: float
    caption_ids: tuple[str, ...]
    captions: tuple[str, ...]


def read_tau_ratings(root: Path, split: str) -> list[Rating]:
    """The ratings of a split, in the file's order.

    Layout: `root/relevance_data/{split}_relevances.csv` (tid, fid, fid_group, rating) and
    `root/text_data/{split}_text.csv` (tid, fid, text); the other folders are not needed.

    Raises:
        DataError: a missing file or column, no ratings, a rating that is not a number from 0 to 100, no rating above
            1, a query or clip that text_data does not know, a pair that is rated twice, a caption that is empty or
            comes twice.
    """
    path, text_path, _ = rating_files(root, split)
    rows = read_csv(path, ("tid", "fid", "fid_group", "rating"), "utf-8-sig", HOW_TO_GET)
    if not rows:
        raise DataError(f"{path}: holds no ratings; {HOW_TO_GET}")
    texts, clips = _read_texts(text_path)
    ratings = []
    rated: set[tuple[str, str]] = set()
    for line, row in rows:
        query_id, clip_id = row["tid"].strip(), row["fid"].strip()
        if query_id not in texts:
            raise DataError(f"{path}, line {line}: tid '{query_id}' is not in {text_path}; take both from one release")
        if clip_id not in clips:
            raise DataError(f"{path}, line {line}: fid '{clip_id}' is not in {text_path}; take both from one release")
        if (query_id, clip_id) in rated:
            raise DataError(
                f"{path}, line {line}: fid '{clip_id}' is rated twice for tid '{query_id}'; delete one of the rows"
            )
        rated.add((query_id, clip_id))
        ids = tuple(clips[clip_id])
        rating = _parse(row["rating"], f"{path}, line {line}")
        captions = tuple(texts[caption_id] for caption_id in ids)
        ratings.append(Rating(query_id, texts[query_id], clip_id, row["fid_group"].strip(), rating, ids, captions))
    if 0 < max(rating.rating for rating in ratings) <= 0.01:
        raise DataError(f"{path}: no rating is above 1, where ratings are from 0 to 100; multiply them by 100")
    return ratings


def read_rated_clips(root: Path, split: str) -> dict[str, dict[str, float]]:
    """The ratings of a split, from 0 to 1, by query text and by file name in Clotho, in the file's order.

    Needs `root/audio_metadata/{split}_audio_metadata.csv` (fid, file_name) besides what `read_tau_ratings` needs.

    Raises:
        DataError: as `read_tau_ratings`; a clip without a file name or with two, or one rated twice for one query.
    """
    ratings = read_tau_ratings(root, split)
    path = rating_files(root, split)[2]
    names: dict[str, str] = {}
    for line, row in read_csv(path, ("fid", "file_name"), "utf-8-sig", HOW_TO_GET):
        clip_id, name = row["fid"].strip(), row["file_name"]  # not stripped: some of Clotho's names begin with a space
        if not name.strip():
            raise DataError(f"{path}, line {line}: fid '{clip_id}' has no file_name; fix or delete the row")
        if names.setdefault(clip_id, name) != name:
            raise DataError(f"{path}, line {line}: fid '{clip_id}' comes twice; delete one of the rows")
    rated: dict[str, dict[str, float]] = defaultdict(dict)
    for rating in ratings:
        if rating.clip_id not in names:
            raise DataError(f"{path}: fid '{rating.clip_id}', which is rated, is not in it; take all from one release")
        name = names[rating.clip_id]
        if name in rated[rating.query]:
            raise DataError(
                f"{rating_files(root, split)[0]}: '{name}' is rated twice for query '{rating.query}'; delete a row"
            )
        rated[rating.query][name] = rating.rating
    return dict(rated)


def rating_files(root: Path, split: str) -> tuple[Path, Path, Path]:
    """The files of a split: ratings, texts, and file names."""
    return (
        root / "relevance_data" / f"{split}_relevances.csv",
        root / "text_data" / f"{split}_text.csv",
        root / "audio_metadata" / f"{split}_audio_metadata.csv",
    )


def _read_texts(path: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Caption texts by caption id, and caption ids by clip id."""
    texts: dict[str, str] = {}
    clips: dict[str, list[str]] = defaultdict(list)
    for line, row in read_csv(path, ("tid", "fid", "text"), "utf-8-sig", HOW_TO_GET):
        caption_id, text = row["tid"].strip(), row["text"].strip()
        if not text:
            raise DataError(f"{path}, line {line}: caption '{caption_id}' is empty; fix or delete the row")
        if caption_id in texts:
            raise DataError(f"{path}, line {line}: tid '{caption_id}' comes twice; delete one of the rows")
        texts[caption_id] = text
        clips[row["fid"].strip()].append(caption_id)
    return texts, dict(clips)


def _parse(text: str, where: str) -> float:
    """A rating from 0 to 1, of one from 0 to 100."""
    rating = number_in(text)
    if math.isnan(rating):
        raise DataError(f"{where}: rating '{text}' is not a number; give one from 0 to 100")
    if not 0 <= rating <= 100:
        raise DataError(f"{where}: rating {text} is out of range; give one from 0 to 100")
    return rating / 100
