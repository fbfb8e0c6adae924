"""The page of `audio-relevance search --serve`: a search box, and the ranked recordings with players."""

import os
from html import escape
from typing import Any
from urllib.parse import quote

from common.errors import RunError
from retrieval.search_index import Hit, Recordings, SearchIndex

STYLE = """
.gradio-container {max-width: 860px !important; margin: 0 auto !important}
.html-container {padding: 0 !important}
.about {overflow-wrap: anywhere}
#query input {border: 1px solid var(--border-color-primary); border-radius: .3rem; padding: .4rem .7rem}
#query button {margin-left: .6rem}
.hits {list-style: none; margin: 0; padding: 0}
.hits li {display: grid; grid-template-columns: 1.6rem 1fr minmax(4rem, 8rem); gap: .4rem 1rem; align-items: center;
    padding: .8rem .2rem; border-top: 1px solid var(--border-color-primary)}
.hits .rank {opacity: .65; font-size: 1.1rem; text-align: right}
.hits .name {font-weight: 600; overflow-wrap: anywhere}
.hits .length, .hits .similarity span {opacity: .65; font-weight: 400; white-space: nowrap}
.hits .similarity {font-variant-numeric: tabular-nums; text-align: right}
.hits .bar {height: .35rem; margin-top: .3rem; border-radius: .2rem; background: var(--border-color-primary)}
.hits .bar div {height: 100%; border-radius: inherit; background: var(--color-accent)}
.hits audio, .hits .silent {grid-column: 2 / 4; width: 100%; height: 2.3rem}
.hits .silent, .note {opacity: .65}
.dark .hits audio {color-scheme: dark}
"""
PLAYED = "recordings"
LONGEST_QUERY = 1000  # characters; models read some 30 words
FONTS = ["system-ui", "sans-serif"]  # of the computer: nothing is fetched from elsewhere


def hits_html(hits: list[Hit]) -> str:
    """A ranking as a list with players; a bar is as long as the cosine similarity, none where it is negative."""
    return f'<ol class="hits">{"".join(map(_item, hits))}</ol>'


def _item(hit: Hit) -> str:
    if hit.path is None:
        player = '<div class="silent">the file is not here</div>'
    else:
        player = f'<audio controls preload="metadata" src="{PLAYED}/{quote(hit.name)}"></audio>'
    length = "" if hit.seconds is None else f' <span class="length">{hit.seconds:.1f} s</span>'
    bar = f'<div class="bar"><div style="width: {100 * min(max(hit.similarity, 0), 1):.1f}%"></div></div>'
    return (
        f'<li><div class="rank">{hit.rank}</div><div class="name">{escape(hit.name)}{length}</div>'
        f'<div class="similarity"><span>similarity</span> {hit.similarity:.3f}{bar}</div>{player}</li>'
    )


def answer(index: SearchIndex, query: str, top: int) -> str:
    """What the page shows for a query: the ranking, or what is wrong with the query."""
    try:
        return hits_html(index.search(query, top))
    except RunError as error:
        return f'<p class="note">{escape(str(error))}</p>'


def player_routes(recordings: Recordings) -> list[Any]:
    """The addresses under which a page gives out recordings, by name, and no other file."""
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import FileResponse
    from starlette.routing import Route

    paths = dict(zip(recordings.names, recordings.paths, strict=True))

    def give(request: Request) -> FileResponse:
        path = paths.get(request.path_params["name"])
        if path is None or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path)

    return [Route(f"/{PLAYED}/{{name:path}}", give)]


def build_page(index: SearchIndex, run: str, examples: list[str], top: int) -> Any:
    """The page, a `gradio.Blocks`.

    Args:
        index: what is searched.
        run: where the model is from, for people.
        examples: queries to click on.
        top: how many recordings are shown.

    Raises:
        RunError: gradio is not installed.
    """
    gr = load_gradio()
    about = f"{len(index.recordings.names):,} recordings of {index.recordings.source}, ranked by the model of {run}"
    with gr.Blocks(title="Search recordings", analytics_enabled=False) as page:
        gr.HTML(f'<h1>Search recordings</h1><p class="about">{escape(about)}</p>')
        query = gr.Textbox(
            label="What do you want to hear?",
            placeholder="a dog barks while rain falls",
            submit_btn="Search",
            max_lines=1,  # Enter searches
            max_length=LONGEST_QUERY,
            elem_id="query",
        )
        found = gr.HTML(render=False)

        def show(text: str) -> str:
            return answer(index, text, top)

        if examples:
            rows = [[example] for example in examples]
            gr.Examples(rows, query, found, show, label="Captions of the run's test", run_on_click=True)
        found.render()
        query.submit(show, query, found)
    return page


def serve(index: SearchIndex, run: str, examples: list[str], top: int, port: int | None) -> None:
    """Serve the page to this computer alone, until Ctrl-C.

    Raises:
        RunError: gradio is not installed, or the port is taken.
    """
    page = build_page(index, run, examples, top)
    try:
        _, url, _ = page.launch(
            share=False,
            server_port=port,
            app_kwargs={"routes": player_routes(index.recordings)},
            theme=load_gradio().themes.Default(font=FONTS, font_mono=["monospace"]),
            css=STYLE,
            ssr_mode=False,
            footer_links=[],
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise RunError(f"the page cannot be served: {port or 'every port'} is taken; give another --port") from error
    print(f"page: {url} (Ctrl-C ends it)", flush=True)
    page.block_thread()


def load_gradio() -> Any:
    """The package `gradio`, told to send nothing to anybody.

    Raises:
        RunError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise RunError("--serve needs gradio: pip install -e '.[search]'") from error
    return gradio
