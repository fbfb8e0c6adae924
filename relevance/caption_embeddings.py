"""Sentence-BERT embeddings of captions, in one process or several: encoded once, see `common.disk_cache`.

The key of a table covers the model: name and revision of a hub model, content of a local one. Of a hub model that
changes, give the revision.
"""

import contextlib
import functools
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from common.cache_dir import default_cache_dir
from common.disk_cache import CHUNK, DType, Encode, cached_table
from common.errors import RelevanceError
from common.load_reports import without_unused
from common.pretrained import ModelSource, explain_unavailable, find_model, local_folder
from common.token_limits import count_cut

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

BATCHES_A_PIECE = 4  # what a process of a pool takes at a time
PIECES_A_SAVING = 32  # for each process; at each saving all wait for the last piece, a 32nd of the time at most


def model_fingerprint(model: str, revision: str | None) -> str:
    """What tells one Sentence-BERT from another: a hub name with its revision, or a hash of a local folder's files."""
    folder = local_folder(model)
    if folder is None:
        return f"{model}@{revision or 'main'}"
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
        digest.update(str(file.relative_to(folder)).encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def load_sentence_bert(source: ModelSource, revision: str | None, device: str | None) -> "SentenceTransformer":
    """The Sentence-BERT model at `source`; imported here because a test of a finished model does not need it.

    Raises:
        RelevanceError: it cannot be found or loaded.
    """
    from sentence_transformers import SentenceTransformer

    try:
        with without_unused():
            return SentenceTransformer(
                source.name_or_path, revision=revision, device=device, local_files_only=source.local_files_only
            )
    except (OSError, ValueError, RuntimeError) as error:  # the hub's client raises all three
        raise RelevanceError("Sentence-BERT " + explain_unavailable(source.name_or_path, error)) from error


def embed_captions(
    captions: Sequence[str],
    model: str,
    *,
    revision: str | None = None,
    cache_dir: Path | None = None,
    dtype: DType = "float32",
    batch_size: int = 64,
    devices: Sequence[str] | None = None,
    progress: bool = True,
) -> npt.NDArray[np.floating]:
    """Unit-length Sentence-BERT embeddings (C, D) of `captions`, memory-mapped, in `dtype`; row i is `captions[i]`.

    Equal captions are encoded once. Safe to call from several processes at once: one encodes, the others wait. With
    several `devices`, such as ["cuda:0", "cuda:1"] or ["cpu", "cpu"], each has a process of its own; a script that
    does this needs `if __name__ == "__main__":`, as the processes import it.

    Raises:
        RelevanceError: no captions, an empty caption, a model that cannot be loaded, a device that is not there, or a
            process that failed; and what `find_model` and `cached_table` raise.
    """
    if not captions:
        raise RelevanceError("there are no captions to embed")
    for index, caption in enumerate(captions):
        if not caption.strip():
            raise RelevanceError(f"caption {index} is empty: its similarity to others means nothing; fix the csv")
    processes = len(devices or ())
    with contextlib.ExitStack() as stack:

        @functools.cache
        def encoder() -> Encode:
            source = find_model(model, revision)
            return stack.enter_context(sentence_bert_encoder(source, revision, batch_size, devices, captions))

        return cached_table(
            captions,
            lambda texts: encoder()(texts),
            model_fingerprint(model, revision),
            folder=(cache_dir or default_cache_dir()) / "caption_embeddings",
            dtype=dtype,
            chunk=CHUNK if processes < 2 else processes * PIECES_A_SAVING * BATCHES_A_PIECE * batch_size,
            progress=progress,
            task="embedding captions",
            what="caption embeddings",
        )


def check_devices(devices: Sequence[str] | None) -> None:
    """Refuse devices that this machine does not have, before any process is started (one that fails there may hang).

    Raises:
        RelevanceError: no devices at all, a name that is none, a GPU that is not there or is named twice.
    """
    if devices is None:
        return
    if not devices:
        raise RelevanceError("devices is an empty list; name at least one, such as cpu, or leave it out")
    for name, times in Counter(devices).items():
        try:
            device = torch.device(name)
            there = 1 if device.type == "cpu" else torch.get_device_module(device).device_count()
        except (RuntimeError, AttributeError):
            raise RelevanceError(f"devices: '{name}' is no device of this machine; write cpu, cuda:0 or such") from None
        if (device.index or 0) >= there:
            raise RelevanceError(f"devices: there is no '{name}', this machine has {there} of this kind; leave it out")
        if device.type != "cpu" and times > 1:
            raise RelevanceError(f"devices: '{name}' is named {times} times; name a GPU once, it runs one process best")


@contextlib.contextmanager
def sentence_bert_encoder(
    source: ModelSource,
    revision: str | None,
    batch_size: int,
    devices: Sequence[str] | None,
    captions: Sequence[str] = (),
) -> Iterator[Encode]:
    """Load a Sentence-BERT: what it yields gives unit-length float32 embeddings (n, D) of n captions.

    With several devices the captions are shared out among as many processes, which end with the context. How many of
    `captions` it does not read to their end is said.

    Raises:
        RelevanceError: it cannot be loaded, or a device is not there; later, by what is yielded: a process failed.
    """
    check_devices(devices)
    several = devices is not None and len(devices) > 1
    device = "cpu" if several else devices[0] if devices else None  # a pool copies the model out of memory
    encoder = load_sentence_bert(source, revision, device)
    _warn_of_cut(encoder, captions)
    with _pool(encoder, devices) if several and devices else contextlib.nullcontext() as pool:

        def encode(captions: list[str]) -> npt.NDArray[np.floating]:
            pooled: dict[str, Any] = {"pool": pool, "chunk_size": BATCHES_A_PIECE * batch_size} if pool else {}
            with torch.inference_mode():
                return encoder.encode(  # type: ignore[no-any-return]
                    captions, batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False, **pooled
                )

        yield encode if pool is None else _explained(encode, devices or ())


def _warn_of_cut(encoder: "SentenceTransformer", captions: Sequence[str]) -> None:
    limit, tokenizer = getattr(encoder, "max_seq_length", None), getattr(encoder, "tokenizer", None)
    if limit and callable(tokenizer) and (cut := count_cut(captions, tokenizer, limit)):
        log.warning(
            "%d of %d captions are longer than the %d tokens that Sentence-BERT reads: those that differ behind them "
            "only count as equal; shorten them, or choose another model",
            cut,
            len(captions),
            limit,
        )


def _explained(encode: Encode, devices: Sequence[str]) -> Encode:
    """`encode`, whatever a process failed with told in one line."""

    def explained(captions: list[str]) -> npt.NDArray[np.floating]:
        try:
            return encode(captions)
        except Exception as error:  # of any kind: a process hands on its own
            cause = " ".join(str(error).split())[-160:] or type(error).__name__
            raise RelevanceError(
                f"Sentence-BERT failed in a process on one of {', '.join(devices)} ({cause}); give fewer devices or a "
                "smaller batch_size; what is embedded stays"
            ) from error

    return explained


@contextlib.contextmanager
def _pool(encoder: "SentenceTransformer", devices: Sequence[str]) -> Iterator[Any]:
    """A pool of processes, one on each device, always stopped; CPU processes share the machine's threads."""
    threads = max(1, torch.get_num_threads() // len(devices))
    ours = "OMP_NUM_THREADS" not in os.environ
    if ours:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read by each process at its start
    try:
        pool = encoder.start_multi_process_pool(list(devices))
    finally:
        if ours:
            del os.environ["OMP_NUM_THREADS"]
    try:
        yield pool
    finally:
        encoder.stop_multi_process_pool(pool)
