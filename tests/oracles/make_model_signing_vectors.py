"""Makes the bundles of the PyPI package `model_signing` that `shared/attestation/tests/model_signing.rs` reads.

    python3 -m venv target/local/model-signing
    target/local/model-signing/bin/pip install -r tests/oracles/requirements-model-signing.txt
    target/local/model-signing/bin/python tests/oracles/make_model_signing_vectors.py           # writes them anew
    target/local/model-signing/bin/python tests/oracles/make_model_signing_vectors.py --check   # the tool still takes them

They are signed with a key that is made here and forgotten: each run gives other signatures over the same statements.
"""

import base64
import datetime
import json
import pathlib
import sys
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing, verifying

OUT = pathlib.Path(__file__).resolve().parents[2] / "shared/attestation/tests/data/model_signing"

PACKAGE = {
    "config.yaml": "task: binary\n",
    "weights/model.onnx": "not really\n",
    "weights/empty": "",
    "weights-x/a": "sorted after weights/ by parts, before it by text\n",
    "weights/ünïcode 模型.txt": "ü\n",
}
ONE = {"a": "1"}


def files():
    return hashing.Config().use_file_serialization(hashing_algorithm="sha256")


# name, files, how they are hashed, key, what Seatrial says to it (nothing: it takes it)
CASES = [
    ("defaults", PACKAGE, None, "key", None),
    ("nothing-ignored", PACKAGE, lambda: files().set_ignored_paths(paths=[], ignore_git_paths=False), "key", None),
    ("symlinks-allowed", PACKAGE, lambda: files().set_allow_symlinks(True), "key", None),
    ("one-file-folder", ONE, None, "key", None),
    ("foreign-key", ONE, None, "other", "none of its signatures is of a given key"),
    ("p384", ONE, None, "p384", "none of its signatures is of a given key"),
    ("certificate", ONE, None, "certificate", "verification material is no public key"),
    ("blake2", ONE, lambda: hashing.Config().use_file_serialization(hashing_algorithm="blake2"), "key", "kind of digest is blake2b"),
    ("shards", ONE, lambda: hashing.Config().use_shard_serialization(shard_size=8), "key", "method of serialization is shards"),
]


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def certificate(key, issuer_key, name, issuer, authority):
    start = datetime.datetime(2026, 1, 1)
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(1 if authority else 2)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    return built.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write(folder, content):
    for name, text in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def make():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    cases = []
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("key", "other", "root")}
        keys["p384"] = ec.generate_private_key(ec.SECP384R1())
        for name, key in keys.items():
            (work / name).write_bytes(pem(key))
        (work / "root.crt").write_bytes(certificate(keys["root"], keys["root"], "root", "root", True))
        (work / "key.crt").write_bytes(certificate(keys["key"], keys["root"], "signer", "root", False))
        for name, content, how, key, refused in CASES:
            model = work / "cases" / name / "model"
            write(model, content)
            config = signing.Config()
            if key == "certificate":
                config.use_certificate_signer(
                    private_key=work / "key", signing_certificate=work / "key.crt", certificate_chain=[work / "root.crt"]
                )
            else:
                config.use_elliptic_key_signer(private_key=work / key)
            if how:
                config.set_hashing_config(how())
            config.sign(model, OUT / f"{name}.sig")
            cases.append({"name": name, "files": content, **said(OUT / f"{name}.sig"), "refused": refused})
        (OUT / "key.pub").write_bytes(public(keys["key"]))
    text = json.dumps({"tool": "model-signing 1.1.1", "cases": cases}, ensure_ascii=False, indent=1)
    (OUT / "cases.json").write_text(text + "\n")


def said(path):
    statement = json.loads(base64.b64decode(json.loads(path.read_text())["dsseEnvelope"]["payload"]))
    subject = statement["subject"][0]
    return {"subject": subject["name"], "root": subject["digest"]["sha256"]}


def check():
    """Whether the tool takes the committed bundles of its own over the same files."""
    for case in json.loads((OUT / "cases.json").read_text())["cases"]:
        if case["refused"]:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            model = pathlib.Path(temporary) / "model"
            write(model, case["files"])
            config = verifying.Config().use_elliptic_key_verifier(public_key=OUT / "key.pub")
            config.verify(model, OUT / f"{case['name']}.sig")
        print(case["name"], "holds")


if __name__ == "__main__":
    check() if "--check" in sys.argv else make()
