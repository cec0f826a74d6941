"""Settings of the documentation site, which `make docs` builds."""

import dataclasses
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import docstrings  # noqa: E402
import reference  # noqa: E402

import tfcaml  # noqa: E402

project = "tfcaml"
author = "The authors of tfcaml"
project_copyright = author
version = release = tfcaml.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"tfcaml {version}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
pygments_style = "friendly"
highlight_language = "text"  # of blocks that name no language: formulae

# Headings are targets of links, as on GitHub.
myst_heading_anchors = 3

# A name in single backticks is looked up; what is no name of tfcaml stays code.
default_role = "py:obj"
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autoclass_content = "class"
napoleon_numpy_docstring = False
napoleon_use_param = True
napoleon_attr_annotations = False

# Classes in signatures have to exist; those of other packages, and private
# ones, have no pages here.
nitpicky = True
nitpick_ignore_regex = [
    ("py:obj", ".*"),
    ("py:(class|exc|data|meth|func)", r"(?!tfcaml\.).*|.*\._\w+"),
]


def _read_page(app, docname, source):
    """What is there for GitHub alone: tables of studies without a title, links to modules."""
    study, _, page = docname.rpartition("/")
    if page == "results":
        source[0] = f"# {study}: all tables\n\n{source[0]}"
    module = lambda match: f"](#{match[1].replace('/', '.').removesuffix('.__init__')})"
    source[0] = re.sub(r"\]\((?:\.\./)+(tfcaml/[\w/]+)\.py\)", module, source[0])


def _skip(app, what, name, member, skip, options):
    """Fields of named tuples, which the docstrings of their classes describe."""
    alias = str(getattr(member, "__doc__", "")).startswith("Alias for field number")
    return True if alias else None


def _read_docstring(app, what, name, member, options, lines):
    """Makes of a docstring what Sphinx and napoleon read."""
    function = getattr(member, "fget", member)
    if not str(getattr(function, "__module__", None) or name).startswith("tfcaml"):
        lines[:] = ["As in the base class.", ""]  # inherited from another package
    else:
        lines[:] = docstrings.rst(lines, getattr(member, "_fields", ()))


def _leave_out_fields(app, what, name, member, options, signature, returns):
    """The fields of a config are listed below it, so that its signature needs none."""
    return ("", None) if what == "class" and dataclasses.is_dataclass(member) else None


def _add_exported_names(app, env):
    """What a package exports can be linked to by its short name: `tfcaml.learners.MAML`."""
    objects = env.domains["py"].objects
    for module in reference.modules():
        for name, home in reference.exports(module).items():
            if home in objects and name not in objects:
                objects[name] = objects[home]._replace(aliased=True)


def _check_complete(app, error):
    """Every public module, symbol and field of a config has an entry in the built site."""
    if error is not None or app.builder.name != "html":
        return
    found = set(app.env.domains["py"].objects)
    wanted = set(reference.modules())
    for module in reference.modules():
        wanted |= {symbol.full_name for symbol in reference.symbols(module)}
        wanted |= set(reference.exports(module))
    for name, config in reference.configs().items():
        wanted |= {f"{name}.{field}" for field in reference.fields(config)}
    missing = sorted(wanted - found)
    if missing:
        raise RuntimeError(f"the site has no entry for {', '.join(missing)}")
    print(f"{len(wanted)} names of the package have an entry.")


def setup(app):
    reference.write(HERE / "api")
    app.connect("source-read", _read_page)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _read_docstring, priority=400)
    app.connect("autodoc-process-signature", _leave_out_fields)
    app.connect("env-updated", _add_exported_names)
    app.connect("build-finished", _check_complete)
