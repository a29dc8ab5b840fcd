"""How Sphinx makes a site of these pages: `make docs`. Every warning is an error, and nothing is loaded from elsewhere."""

project = "Daicho"
extensions = ["myst_parser"]
nitpicky = True

html_theme = "furo"
html_title = "Daicho"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

highlight_language = "text"
myst_heading_anchors = 3
