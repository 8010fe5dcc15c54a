"""Gets sources: Debian source packages through apt with a state of its own, which leaves the
system's configuration alone, and npm packages through npm."""
import os
import pathlib
import re

import store

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def stanzas_of_list(text):
    """One-line entries: deb [options] URI suite component..."""
    for line in text.splitlines():
        found = re.match(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)", line)
        if found:
            signed = re.search(r"signed-by=(\S+)", found["options"] or "", re.I)
            yield found["uri"], found["suite"].split(), signed[1] if signed else None


def stanzas_of_sources(text):
    """deb822 entries."""
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)$", "\n".join(lines), re.M))
        if "deb" in fields.get("Types", "").split():
            for uri in fields.get("URIs", "").split():
                yield uri, fields.get("Suites", "").split(), fields.get("Signed-By") or None


def debian_archives(release):
    """The archives that this machine takes the release from."""
    files = [pathlib.Path("/etc/apt/sources.list")]
    files += sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))
    for file in files:
        if not file.is_file() or file.suffix not in (".list", ".sources"):
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        parse = stanzas_of_sources if file.suffix == ".sources" else stanzas_of_list
        for uri, suites, signed in parse(text):
            if release in suites:
                yield uri, signed


def machine_release():
    text = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r"^VERSION_CODENAME=(\S+)", text, re.M)
    if not found:
        raise store.Unavailable("this is no Debian: no VERSION_CODENAME")
    return found[1]


def apt_options(state, suite):
    for folder in ("lists/partial", "archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    sources = state / "debian.sources"
    text = ""
    for uri, signed in dict(debian_archives(machine_release())).items():
        signed = signed or (KEYRING if os.path.exists(KEYRING) else None)
        text += f"Types: deb-src\nURIs: {uri}\nSuites: {suite}\nComponents: main\n"
        text += f"Signed-By: {signed}\n\n" if signed else "\n"
    if not text:
        raise store.Unavailable("apt knows no archive of this Debian release")
    sources.write_text(text, encoding="utf-8")
    settings = {"Dir::State": state, "Dir::State::status": "/var/lib/dpkg/status",
                "Dir::Cache": state, "Dir::Etc::sourcelist": sources,
                "Dir::Etc::sourceparts": "-", "Acquire::Retries": 2,
                "Acquire::http::Timeout": 20, "APT::Sandbox::User": "root"}
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def download(package, suite, folder):
    options = apt_options(store.cache() / f"apt-{suite}", suite)
    try:
        store.call(["apt-get", *options, "source", "--download-only", package], folder,
                   store.FETCH_SECONDS)
    except store.Unavailable:
        # The lists may be missing or old: they are fetched only when that is so.
        store.call(["apt-get", *options, "update"], folder, store.FETCH_SECONDS)
        store.call(["apt-get", *options, "source", "--download-only", package], folder,
                   store.FETCH_SECONDS)


def debian_source(package, suites=None):
    """The unpacked upstream source of a Debian source package, from the first of the suites
    that has it (the machine's own when none is named)."""
    def fill(folder):
        for suite in suites or [machine_release()]:
            try:
                download(package, suite, folder)
                break
            except store.Unavailable as error:
                failure = error
        else:
            raise failure
        archives = [path for path in folder.iterdir() if ".orig.tar." in path.name]
        if not archives:
            raise store.Unavailable(f"{package}: no upstream source in the package")
        (folder / "tree").mkdir()
        store.unpack(archives[0], folder / "tree")
    return store.made_once(f"source/{package}", fill) / "tree"


def npm_package(name, version):
    """The unpacked content of an npm package."""
    def fill(folder):
        store.call(["npm", "pack", "--silent", "--fetch-retries=2", f"{name}@{version}"], folder,
                   store.FETCH_SECONDS)
        archives = list(folder.glob("*.tgz"))
        if not archives:
            raise store.Unavailable(f"npm gave nothing for {name}@{version}")
        (folder / "tree").mkdir()
        store.unpack(archives[0], folder / "tree")
    label = re.sub(r"[^\w.-]+", "-", f"{name}-{version}").strip("-")
    return store.made_once(f"npm/{label}", fill) / "tree"
