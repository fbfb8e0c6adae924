"""Clotho's caption and metadata files: each mistake in them is refused in one line."""

from collections.abc import Callable

import pytest

from datamodules.clotho import read_caption_csv, read_metadata_csv
from tests.support.clotho import Refused, clotho, rewrite
from tests.support.corpus import Corpus


def bad_row(number: int, *cells: str) -> Callable[[list[list[str]]], None]:
    """Overwrites the beginning of a row."""

    def change(rows: list[list[str]]) -> None:
        rows[number][: len(cells)] = cells

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: [row.pop(3) for row in rows],
            ": column 'caption_3' is missing (found: file_name, caption_1, caption_2, caption_4, caption_5); get the "
            "file again",
        ),
        (bad_row(2, ""), ", line 3: no file_name, so the captions have no audio; fix or delete the row"),
        (bad_row(2, "  "), ", line 3: no file_name, so the captions have no audio; fix or delete the row"),
        (bad_row(3, "dog.wav"), ", line 4: file_name 'dog.wav' comes twice; delete one of the rows"),
        (bad_row(1, "../x.wav"), ", line 2: file_name '../x.wav' is not a plain file name; fix the row"),
        (bad_row(1, "/etc/x.wav"), ", line 2: file_name '/etc/x.wav' is not a plain file name; fix the row"),
        (bad_row(1, "x.wav/"), ", line 2: file_name 'x.wav/' is not a plain file name; fix the row"),
        (bad_row(1, ".."), ", line 2: file_name '..' is not a plain file name; fix the row"),
        (bad_row(1, "."), ", line 2: file_name '.' is not a plain file name; fix the row"),
        # The line is that on which the row ends.
        (bad_row(1, "a\nb.wav"), ", line 3: file_name 'a\\nb.wav' is not a plain file name; fix the row"),
        (bad_row(1, "x.wav", *["", " "] * 2, ""), ", line 2: 'x.wav' has no caption; fix or delete the row"),
        (
            lambda rows: rows[2].append("and a cat"),
            ", line 3: has more cells than the header; put text that holds commas in double quotes",
        ),
    ],
)
def test_bad_rows(corpus: Corpus, refused: Refused, change: Callable[[list[list[str]]], None], message: str) -> None:
    path = corpus.caption_file("development")
    rewrite(path, change)
    assert refused(lambda: clotho(corpus).setup("fit")) == f"{path}{message}"
    assert refused(lambda: clotho(corpus).read_captions()) == f"{path}{message}"


def test_empty_caption_files(corpus: Corpus, refused: Refused) -> None:
    path = corpus.caption_file("validation")
    rewrite(path, lambda rows: rows.__delitem__(slice(1, None)))
    assert refused(lambda: clotho(corpus).setup("fit")).startswith(
        f"{path}: holds no rows; run `audio-relevance download clotho"
    )
    path.write_bytes(b"")
    message = refused(lambda: clotho(corpus).setup("fit"))
    assert message.startswith(f"{path}: is empty; run `audio-relevance download clotho")


def test_caption_file_in_another_encoding(corpus: Corpus, refused: Refused) -> None:
    path = corpus.caption_file("development")
    text = path.read_text("utf-8").replace("—", "-").replace("雨", "rain")
    path.write_text(text, "iso-8859-1")
    message = refused(lambda: clotho(corpus).setup("fit"))
    assert message.startswith(f"{path}: is not in UTF-8 (")
    assert message.endswith("); save it as UTF-8")


def test_caption_file_with_a_byte_order_mark(corpus: Corpus) -> None:
    path = corpus.caption_file("development")
    before = read_caption_csv(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_caption_csv(path) == before


def test_a_quote_that_is_never_closed_loses_no_rows_in_silence(corpus: Corpus, refused: Refused) -> None:
    path = corpus.caption_file("development")
    path.write_text(path.read_text("utf-8") + 'last.wav,"a dog barks,b,c,d,e\nlost.wav,a,b,c,d,e\n', "utf-8")
    message = refused(lambda: read_caption_csv(path))
    assert message == (
        f"{path}, line 8: is not a csv file (unexpected end of data); fix its quotes, or get the file again"
    )


def test_a_folder_instead_of_a_caption_file(corpus: Corpus, refused: Refused) -> None:
    path = corpus.caption_file("development")
    path.unlink()
    path.mkdir()
    assert refused(lambda: read_caption_csv(path)) == f"{path}: is a folder; give the path of a file"


def test_metadata_without_a_column(corpus: Corpus, refused: Refused) -> None:
    path = corpus.metadata_file("evaluation")
    path.write_text("file_name,sound_id\nsea.wav,1\n")
    message = refused(lambda: read_metadata_csv(path))
    assert message == f"{path}: column 'keywords' is missing (found: file_name, sound_id); get the file again"
