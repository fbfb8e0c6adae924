"""A rehearsal of two nodes: two torchrun agents on this machine, one process each, over gloo, beside one process.

    python benchmarks/two_nodes.py

Both train one epoch of a tiny synthetic corpus with the same global batches, then test. Prints how far the two runs'
per-query results and final weights are apart. Dropout and masks are off: ranks draw their own. SmallCNN's batch
normalisation takes its statistics on each rank, so the audio encoder here is one with layer normalisation.
"""

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import torch
from timing import QUIET, TRAIN, command_line, flags, one_thread, timed

SETTINGS = {
    "config": "demo_listnet",
    "data.train_clips": 48,
    "data.validation_clips": 8,
    "data.test_clips": 21,  # odd: one rank repeats a recording, which must not count twice
    "data.num_workers": 0,
    "model.audio_encoder": "PaSST",
    "model.audio_encoder.checkpoint": "null",
    "model.audio_encoder.dim": 48,
    "model.audio_encoder.depth": 2,
    "model.audio_encoder.heads": 4,
    "model.audio_encoder.patchout_time": 0,
    "model.audio_encoder.patchout_frequency": 0,
    "model.audio_encoder.fmin_jitter": 0,
    "model.audio_encoder.fmax_jitter": 0,
    # Plain steps: Adam makes whole steps of gradients that are rounding alone, such as those of attention's key biases.
    "model.optimizer": "torch.optim.SGD",
    "model.optimizer.lr": 0.1,
    "model.optimizer.weight_decay": 0,
    "trainer.max_epochs": 1,
    **QUIET,
}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def main() -> int:
    parser = command_line(__doc__)
    parser.add_argument("--steps", type=int, default=5, help="training steps of at most 20; rounding grows with them")
    options = parser.parse_args()
    environment = one_thread()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shared = {**SETTINGS, "data.root": folder / "corpus", "trainer.limit_train_batches": options.steps}
        alone = flags({**shared, "data.batch_size": 12, "run.root": folder / "alone"})
        command = [sys.executable, TRAIN, "fit", *alone]
        seconds, _ = timed(lambda: subprocess.run(command, check=True, env=environment))
        print(f"one process: {seconds:.1f} s")
        two = {"data.batch_size": 6, "run.root": folder / "two", "trainer.num_nodes": 2, "trainer.strategy": "ddp"}
        two["trainer.devices"] = 1
        port = free_port()
        agents = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(node)),
                    *("--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(port)),
                    *(TRAIN, "fit", *flags({**shared, **two})),
                ],
                env=environment,
            )
            for node in range(2)
        ]
        seconds, codes = timed(lambda: [agent.wait() for agent in agents])
        print(f"two nodes: {seconds:.1f} s, exit codes {codes}")
        if any(codes):
            return 1
        runs = [folder / which / "demo_listnet" / "0" for which in ("alone", "two")]
        return compare(*runs)


def compare(alone: Path, two: Path) -> int:
    """Print how far two runs are apart; 1 where they are not the same."""
    states = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (alone, two)]
    farthest = max(float((states[0][key] - states[1][key]).abs().max()) for key in states[0])
    rows = [pq.read_table(run / "queries_test.parquet").to_pylist() for run in (alone, two)]
    keys = [[(row["direction"], row["query_id"], row["top10_ids"], row["AP@10"]) for row in table] for table in rows]
    same = sum(a == b for a, b in zip(*keys, strict=True))
    print(f"final weights: at most {farthest:.1e} apart")
    print(f"per-query rows: {len(keys[0])} and {len(keys[1])}, {same} the same (query, ten best, AP@10)")
    return 0 if farthest < 1e-5 and len(keys[0]) == len(keys[1]) == same else 1


if __name__ == "__main__":
    sys.exit(main())
