"""What libraries would print of no use to anybody is not printed; everything else they say is."""

import logging
import subprocess
import sys

from workbench.models import quantised

USELESS = "Failed to load CPU gemm_4bit_forward from kernels-community: %s. Please make sure"


def test_of_bitsandbytes_only_the_line_about_its_kernel_is_left_out(caplog):
    logger = logging.getLogger(quantised.OPS)

    def executing(module):
        logger.warning(USELESS, "No module named 'kernels'")
        logger.warning("this CPU is unknown")
        logging.getLogger("bitsandbytes.cextension").warning("no CUDA library")

    quantised._without_kernels(executing, None)
    logger.warning(USELESS, "asked for outside")
    said = [record.getMessage() for record in caplog.records]
    assert said[:2] == ["this CPU is unknown", "no CUDA library"] and "asked for outside" in said[2] and len(said) == 3


def test_the_encoders_library_says_nothing_when_it_imports_peft_and_bitsandbytes():
    code = "import sys, workbench; workbench.load_encoder('minilm'); print('bitsandbytes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True)
    assert done.stdout == "True\n" and "gemm_4bit" not in done.stderr
