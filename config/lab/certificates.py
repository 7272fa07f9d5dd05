# SPDX-License-Identifier: Apache-2.0
"""Certificates of a laboratory, by openssl: an authority, and what it signs. All are files in PEM."""
import shutil

from .base import run

SUBJECT_KEYS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
                "rsa": ["rsa", "-pkeyopt", "rsa_keygen_bits:2048"]}


class Authority:
    """
    A CA with files in a directory: `.cert` is what clients trust. What it issues to servers is
    theirs, who run as `owner`.
    """

    def __init__(self, directory, owner, name="ca"):
        self.dir, self.owner = directory, owner
        self.cert, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        run("openssl", "req", "-x509", "-newkey", *SUBJECT_KEYS["ecdsa"], "-nodes", "-days", 30,
            "-subj", f"/CN=laboratory {name}", "-keyout", self.key, "-out", self.cert)

    def issue(self, name, alternatives, kind="ecdsa", days=30):
        """
        (certificate, key) for subjectAltNames as openssl writes them: ["DNS:example.net",
        "IP:192.0.2.10"]. Made again under the same name, they take the old ones' place.
        """
        cert, key, asked = (self.dir / f"{name}.{end}" for end in ("pem", "key", "csr"))
        extensions = self.dir / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(alternatives)}\n")
        run("openssl", "req", "-new", "-newkey", *SUBJECT_KEYS[kind], "-nodes",
            "-subj", f"/CN={name}", "-keyout", key, "-out", asked)
        run("openssl", "x509", "-req", "-in", asked, "-CA", self.cert, "-CAkey", self.key,
            "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", cert)
        shutil.chown(key, self.owner)
        return cert, key
