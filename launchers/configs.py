"""Lists the experiments that `--config` knows by name.

tfcaml configs
"""

import ast

from . import _app, _configs


def main(_):
    names = _configs.names()
    width = max(map(len, names))
    for name in names:
        with open(_configs.path_of(name), encoding="utf-8") as file:
            purpose = ast.get_docstring(ast.parse(file.read())).splitlines()[0]
        print(f"{name:<{width}}  {purpose}")
    return 0


if __name__ == "__main__":
    _app.run(main)
