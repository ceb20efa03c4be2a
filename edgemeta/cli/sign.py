"""`edgemeta sign`: sign a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from edgemeta.bundle import SIGNATURE
from edgemeta.bundle.signing import sign as sign_bundle
from edgemeta.cli._options import bundle_argument, json_option, say_json


@click.command()
@bundle_argument
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path),
    help="The private key, a PEM file (Ed25519, not encrypted).",
)
@json_option
def sign(bundle: Path, key: Path, as_json: bool) -> None:
    """Sign BUNDLE, so that whoever has the public key can verify it.

    All its files are checked first. The signature becomes part of the bundle. Devices check it with
    `edgemeta.Runner(bundle, key="public.pem")`, people with `edgemeta verify`.

    \b
    Example:
      openssl genpkey -algorithm ed25519 -out private.pem
      openssl pkey -in private.pem -pubout -out public.pem
      edgemeta sign bundles/glyphs --key private.pem
      edgemeta verify bundles/glyphs --key public.pem
    """
    fingerprint = sign_bundle(bundle, key)
    if as_json:
        say_json({"bundle": fingerprint, "signature": str(bundle / SIGNATURE)})
    else:
        click.echo(f"{bundle / SIGNATURE}: bundle {fingerprint[:12]} is signed")
