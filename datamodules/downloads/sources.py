"""Where each data set is, and the checksums of its files."""

from typing import NamedTuple

ZENODO = "https://zenodo.org"
HUGGING_FACE = "https://huggingface.co"
GITHUB_RAW = "https://raw.githubusercontent.com"


class Split(NamedTuple):
    """MD5 checksums of a Clotho split's three files, and how many recordings its archive holds."""

    audio: str
    captions: str
    metadata: str
    recordings: int


CLOTHO_PATH = "/records/4783391/files/{name}?download=1"
CLOTHO = {
    "development": Split(
        "c8b05bc7acdb13895bb3c6a29608667e", "d4090b39ce9f2491908eebf4d5b09bae", "170d20935ecfdf161ce1bb154118cda5", 3839
    ),
    "validation": Split(
        "7dba730be08bada48bd15dc4e668df59", "5879e023032b22a2c930aaa0528bead4", "2e010427c56b1ce6008b0f03f41048ce", 1045
    ),
    "evaluation": Split(
        "4569624ccadf96223f19cb59fe4f849f", "1b16b9e57cf7bdb7f13a13802aeb57e2", "13946f054d4e1bf48079813aac61bf77", 1045
    ),
}
"""Clotho v2.1, as its Zenodo record 4783391 gives them."""

# One commit of the repository, so that the checksums hold; its dataset2.0/ is another data set (AudioCaps 2.0).
AUDIOCAPS_PATH = "/cdjkim/audiocaps/d004db3ea1b01cf4fd0347dd8d27db90cadc8809/dataset/{name}"
AUDIOCAPS = {
    "train.csv": "c0c5223db682b3bf724ce7e7ce58d5b36929f74572e8526a7211f92d2eef7c8e",
    "val.csv": "dab1c96641d5f3053ddb99dca3949450da9a75737bda53e11cc0aa8b102be0c3",
    "test.csv": "b91c4b7ded2f4f6e7db5b9c4983dc1e1dca3d556f505b61e3fd65cac7e1c638a",
}
"""SHA-256 of the captions of AudioCaps v1, computed from the repository's files."""

# The lists of the 816 and 428 clips, in other work of the same authors; CC BY-NC 4.0.
ONCESCU2021_PATH = (
    "/oncescuandreea/DTU_text_audio/6148662366b5e5df68bcf1233bc94c336385f3b1/retrieval/data/AudioCaps/json_files/{name}"
)
ONCESCU2021 = {
    "val_audioset_5_orig.json": "22233e6a3e1c1f67ffed2156a417acb7540093dcb117119a75c1554502529f78",
    "test_full.json": "2285fe7544536abbe227475b0172094897db152139e51a46b0f1defb3dd76bf7",
}
"""SHA-256 of the lists of AudioCaps' subset in Oncescu et al. 2021, computed from the repository's files."""

# The hub itself says which files there are, how large, and with which SHA-256.
WAVCAPS_TREE = "/api/datasets/cvssp/WavCaps/tree/main/{folder}?recursive=true"
WAVCAPS_PATH = "/datasets/cvssp/WavCaps/resolve/main/{path}"
