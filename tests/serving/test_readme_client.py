"""The client that the README shows, run as it stands against a real server."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from data.sql import EPISODES

if TYPE_CHECKING:
    from conftest import Live

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_client_in_the_readme_goes_from_the_answer_to_the_end_of_treatment(service: "Live", tmp_path: Path) -> None:
    shown = README[README.index("<!-- client example -->") : README.index("<!-- end of client example -->")]
    program = tmp_path / "client.py"
    program.write_text(shown[shown.index("import os") : shown.rindex("```")])
    environment = os.environ | {"API": service.url, "KEY": service.key("platform"), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^[1-5] t-\d+ group \d", done.stdout, flags=re.M)) == 5
    with service.service.engine.connect() as connection:
        assert connection.scalars(sa.select(EPISODES.c.ending)).all() == ["declined"]
