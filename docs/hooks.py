"""What mkdocs does to this site: formulas become MathML, which needs no script, and notebooks become pages."""

import re
from html import unescape

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Replace every notebook by a page of its cells and their outputs, as they are stored in it."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        text, resources = MarkdownExporter().from_filename(notebook.abs_src_path)
        page, images = notebook.src_uri.removesuffix(".ipynb"), resources.get("outputs", {})
        for name, image in images.items():
            text = text.replace(f"({name})", f"({page.rpartition('/')[2]}-{name})")
            files.append(File.generated(config, f"{page}-{name}", content=image))
        files.remove(notebook)
        files.append(File.generated(config, f"{page}.md", content=re.sub(r"<style.*?</style>", "", text, flags=re.S)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Link to the page of a notebook where the source, which others show as it is, links to the notebook."""
    return re.sub(r"(\]\([^)\s:]+)\.ipynb\)", r"\1.md)", markdown)


def on_page_content(html: str, **_: object) -> str:
    r"""Replace \(...\) and \[...\] of pymdownx.arithmatex by MathML; a mean and its interval stay in one line."""
    html = html.replace(" ± ", "&nbsp;±&nbsp;")
    html = re.sub(r'<span class="arithmatex">\\\((.*?)\\\)</span>', lambda m: _mathml(m[1], "inline"), html, flags=re.S)
    return re.sub(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', lambda m: _mathml(m[1], "block"), html, flags=re.S)


def _mathml(latex: str, display: str) -> str:
    return convert(unescape(latex).strip(), display=display)
