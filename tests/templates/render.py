"""Prints what `render` makes of every file in tests/fixtures/clean, one JSON object a line: `render.py REGISTER_SERVICE`."""

import json
import pathlib
import subprocess
import sys

VARIABLES = {"TOKEN": "t", "SEARCH_URL": "http://search.test/mcp", "ROOT": "/srv", "MODE": "dev", "HOME": "/home/jane", "REGION": "eu"}
FOLDER = pathlib.Path(__file__).parent.parent / "fixtures"

for path in sorted((FOLDER / "clean").iterdir()):
    command = [sys.argv[1], "--output", "json", "render", str(path), "--strict-env"]
    report = json.loads(subprocess.run(command, env=VARIABLES, capture_output=True, check=True, text=True).stdout)
    for file in report["result"]["files"]:
        name = file["path"].rsplit("/fixtures/", 1)[1]
        print(json.dumps({"kind": "yaml", "file": name, "text": file["yaml"]}, ensure_ascii=False))
