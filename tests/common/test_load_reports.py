"""Reports of transformers on what a checkpoint has too much are left out, those on what it misses stay."""

import io
import logging
from pathlib import Path

import pytest
from transformers import BertConfig, BertForMaskedLM, BertModel

from common.load_reports import LOGGER, without_unused


@pytest.mark.parametrize(("pooler", "told"), [(False, False), (True, True)])
def test_only_a_report_of_what_is_missing_is_seen(
    tmp_path: Path, pooler: bool, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, LOGGER)  # commands switch the library's own words off
    config = BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4)
    BertForMaskedLM(config).save_pretrained(tmp_path)  # its head is unused, and it has no pooler
    logger, stream = logging.getLogger(LOGGER), io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        with without_unused():
            BertModel.from_pretrained(tmp_path, add_pooling_layer=pooler)
        inside = stream.getvalue()
        BertModel.from_pretrained(tmp_path, add_pooling_layer=False)
    finally:
        logger.removeHandler(handler)
    assert ("MISSING" in inside) == told
    assert ("UNEXPECTED" in inside) == told
    assert "UNEXPECTED" in stream.getvalue()[len(inside) :]  # outside, the reports are as they were
