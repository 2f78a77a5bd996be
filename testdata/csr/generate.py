#!/usr/bin/env python3
"""Writes the CSRs of good/ and bad/ anew. Needs Python 3 and openssl 3.

Every signature comes from the openssl command line. What `openssl req` can
write, it writes; the rest is put together here, DER by hand.
"""
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
WORK = pathlib.Path(tempfile.mkdtemp())


def openssl(*arguments, data=b""):
    run = subprocess.run(("openssl",) + arguments, input=data, capture_output=True)
    if run.returncode != 0:
        raise SystemExit(f"openssl {arguments}: {run.stderr.decode()}")
    return run.stdout


# Keys. Nothing is certified over them: they are thrown away.

def key(name, *options):
    path = WORK / f"{name}.pem"
    path.write_bytes(openssl("genpkey", *options))
    return path


def ec(name, curve, *options):
    return key(name, "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", *options)


def rsa(name, bits, exponent=65537):
    return key(name, "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}",
               "-pkeyopt", f"rsa_keygen_pubexp:{exponent}")


P256 = ec("p256", "P-256")
P384 = ec("p384", "P-384")
RSA2048 = rsa("rsa2048", 2048)

# DER.

def tlv(tag, *contents):
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def seq(*contents):
    return tlv(0x30, *contents)


def oid(dotted):
    arcs = [int(arc) for arc in dotted.split(".")]
    out = bytes([arcs[0] * 40 + arcs[1]])
    for arc in arcs[2:]:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.insert(0, arc & 0x7F | 0x80)
        out += bytes(digits)
    return tlv(0x06, out)


def octets(content):
    return tlv(0x04, content)


def bits(content, unused=0):
    return tlv(0x03, bytes([unused]), content)


def name(common_name):
    return seq(tlv(0x31, seq(oid("2.5.4.3"), tlv(0x0C, common_name.encode()))))


NULL = tlv(0x05)
VERSION = tlv(0x02, b"\0")
SUBJECT = name("device")
ECDSA_SHA256 = oid("1.2.840.10045.4.3.2")
SAN = "2.5.29.17"


def spki(key_path):
    return openssl("pkey", "-in", str(key_path), "-pubout", "-outform", "DER")


def extension(dotted, value):
    return seq(oid(dotted), octets(value))


def request_attribute(*values):
    return seq(oid("1.2.840.113549.1.9.14"), tlv(0x31, *values))


def san(*names):
    return request_attribute(seq(extension(SAN, seq(*names))))


def other_name(type_id, value):
    return tlv(0xA0, oid(type_id), tlv(0xA0, value))


def csr(attributes=tlv(0xA0), *, version=VERSION, public_key=None, algorithm=None,
        unused=0, change=lambda info: info, sign_with=P256, digest="-sha256", subject=SUBJECT):
    """A whole CSR; `change` alters the information after it was signed."""
    info = seq(version, subject, public_key or spki(sign_with), attributes)
    signature = openssl("dgst", digest, "-sign", str(sign_with), data=info)
    return seq(change(info), algorithm or seq(ECDSA_SHA256), bits(signature, unused))


def req(key_path, digest, config="", subject="/CN=device", extensions=False):
    path = WORK / "req.cnf"
    path.write_text("[req]\ndistinguished_name = dn\nprompt = no\n" + config + "\n[dn]\nCN = device\n")
    arguments = ["req", "-new", "-utf8", "-config", str(path), "-key", str(key_path),
                 "-outform", "DER", "-subj", subject]
    arguments += [digest] if digest else []
    arguments += ["-reqexts", "ext"] if extensions else []
    return openssl(*arguments)


def write(folder, file, der):
    (HERE / folder / f"{file}.der").write_bytes(der)


for folder in ("good", "bad"):
    shutil.rmtree(HERE / folder, ignore_errors=True)
    (HERE / folder).mkdir()

# Good: every key with every digest that goes with it.

for file, key_path in (("p256", P256), ("p384", P384), ("rsa2048", RSA2048)):
    for digest in ("sha256", "sha384", "sha512"):
        write("good", f"{file}-{digest}", req(key_path, f"-{digest}"))
write("good", "rsa4096-sha256", req(rsa("rsa4096", 4096), "-sha256"))
write("good", "ed25519", req(key("ed25519", "-algorithm", "ED25519"), None))

# Good: names.

write("good", "no-names", req(P256, "-sha256", subject="/"))
write("good", "subject", req(P256, "-sha256", subject="/C=DE/O=Example, Inc./OU=A/OU=B/CN=device+serialNumber=42"))
write("good", "all-names", req(P256, "-sha256", """
[ext]
subjectAltName = @alt
[alt]
DNS.1 = a.example
DNS.2 = B.example
email.1 = user@example.com
URI.1 = https://example.com/x
IP.1 = 192.0.2.1
IP.2 = 2001:db8::1
RID.1 = 1.2.3.4
dirName.1 = dir
otherName.1 = 1.3.6.1.4.1.311.20.2.3;UTF8:user@corp.example
otherName.2 = 1.3.6.1.5.5.7.8.3;SEQUENCE:pi_plain
otherName.3 = 1.3.6.1.5.5.7.8.3;SEQUENCE:pi_assigner
otherName.4 = 1.3.6.1.5.5.7.8.3;SEQUENCE:pi_empty
otherName.5 = 1.3.6.1.5.5.7.8.4;SEQUENCE:module
otherName.6 = 1.2.3.4.5;UTF8:other
[dir]
CN = directory
[pi_plain]
value = UTF8:ABCDEF123456
[pi_assigner]
value = UTF8:ABC
assigner = OID:1.2.3.4
[pi_empty]
[module]
type = OID:1.2.840.113635.100.8.9.1
serial = FORMAT:ASCII,OCT:U-1
""", extensions=True))
write("good", "wants-ca.basic-constraints", req(P256, "-sha256", "[ext]\nbasicConstraints = critical,CA:TRUE\n", extensions=True))
write("good", "wants-ca.key-cert-sign", req(P256, "-sha256", "[ext]\nkeyUsage = keyCertSign\n", extensions=True))
write("good", "wants-ca.crl-sign", req(P256, "-sha256", "[ext]\nkeyUsage = digitalSignature,cRLSign\n", extensions=True))
write("good", "wants-no-ca", req(P256, "-sha256", "[ext]\nbasicConstraints = CA:FALSE\nkeyUsage = digitalSignature,keyEncipherment\nextendedKeyUsage = clientAuth\n", extensions=True))
write("good", "challenge-password", req(P256, "-sha256", "attributes = attrs\n[attrs]\nchallengePassword = secret1\n"))
write("good", "empty-extension-request", csr(tlv(0xA0, request_attribute(seq()))))
write("good", "empty-san", csr(tlv(0xA0, san())))
write("good", "microsoft-extensions", csr(tlv(0xA0, seq(
    oid("1.3.6.1.4.1.311.2.1.14"), tlv(0x31, seq(extension(SAN, seq(tlv(0x82, b"a.example")))))))))
write("good", "ecdsa-null-parameters", csr(algorithm=seq(ECDSA_SHA256, NULL)))

# Good: parts that are dropped anyway, in forms that a strict reader refuses.

# 2.25 and a UUID: an arc of 128 bits (X.667).
UUID_OID = tlv(0x06, b"\x69\x83\xf8\x8c\xcb\xd9\xa1\xd4\xb4\x85\xa8\xe3\xf1\xc4\xd2\x9a\xe0\xc6\x36")
PADDED_OID = tlv(0x06, b"\x2a\x80\x03")


def subject_of(*sets):
    return seq(*(tlv(0x31, *attributes) for attributes in sets))


def dropped(file, *names):
    write("good", f"dropped.{file}", csr(tlv(0xA0, san(*names))))


CN = oid("2.5.4.3")
DNS = tlv(0x82, b"kept.example")
dropped("mail-of-other-letters", tlv(0x81, "jürgen@example.com".encode()))
dropped("mail-in-latin-1", tlv(0x81, "jürgen@example.com".encode("latin-1")))
dropped("dns-of-other-letters", tlv(0x82, "ä".encode()))
dropped("uri-in-latin-1", tlv(0x86, b"https://example.com/\xe4"))
dropped("five-octet-ip", tlv(0x87, b"\1\2\3\4\5"))
dropped("x400-address", tlv(0xA3, seq(tlv(0x61, tlv(0x13, b"DE")))))
dropped("edi-party-name", tlv(0xA5, tlv(0xA1, tlv(0x0C, b"party"))))
dropped("directory-name-without-order", tlv(0xA4, subject_of(
    (seq(CN, tlv(0x0C, b"b")), seq(CN, tlv(0x0C, b"a"))))))
dropped("registered-id-of-large-arcs", tlv(0x88, UUID_OID[2:]))
dropped("name-of-unknown-tag", tlv(0x8F, b"\0"))
dropped("name-twice", DNS, tlv(0x82, b"b"), DNS)
dropped("other-name-of-large-arcs", tlv(0xA0, UUID_OID, tlv(0xA0, tlv(0x0C, b"other"))))
dropped("other-name-padded", tlv(0xA0, PADDED_OID, tlv(0xA0, tlv(0x0C, b"other"))))
dropped("other-name-without-value", tlv(0xA0, oid("1.2.3.4.5")))
dropped("principal-in-bmp-string", other_name("1.3.6.1.4.1.311.20.2.3", tlv(0x1E, b"\0u")))
write("good", "dropped.no-attributes", csr(b""))
write("good", "dropped.unknown-attributes", csr(tlv(
    0xA0,
    seq(oid("1.2.3.4"), tlv(0x1C, b"\0\0\0A"), NULL), seq(UUID_OID), seq(UUID_OID, tlv(0x31)),
    seq(PADDED_OID, tlv(0x04, b"\xff")), san(DNS))))
write("good", "dropped.unknown-extensions", csr(tlv(0xA0, request_attribute(seq(
    seq(UUID_OID, octets(b"")), extension("1.2.3.4", b"\xff"), extension("1.2.3.4", b"\xff"),
    seq(PADDED_OID, tlv(0x01, b"\1"), NULL), extension("2.5.29.37", b"no DER"),
    seq(oid("2.5.29.15"), tlv(0x01, b"\0"), octets(tlv(0x03, b"\7\x80"))),
    extension(SAN, seq(DNS)))))))
for file, value in (
    ("universal-string", tlv(0x1C, b"\0\0\0d")), ("bmp-string", tlv(0x1E, b"\0d")),
    ("teletex-string", tlv(0x14, b"d\xe9vice")), ("no-string", tlv(0x30, b"\xff"))):
    write("good", f"dropped.subject-{file}", csr(
        tlv(0xA0, san(DNS)), subject=subject_of((seq(CN, value),))))
for file, sets in (
    ("padded", ((seq(tlv(0x06, b"\x55\x04\x80\x03"), tlv(0x0C, b"device")),),)),
    ("of-large-arcs", ((seq(UUID_OID, tlv(0x0C, b"device")),),)),
    ("without-order", ((seq(CN, tlv(0x0C, b"b")), seq(CN, tlv(0x0C, b"a"))),)),
    ("without-attribute", ((),))):
    write("good", f"dropped.subject-{file}", csr(tlv(0xA0, san(DNS)), subject=subject_of(*sets)))

# Bad: the file's name up to the first dot is the error.

def flip(info):
    at = info.index(b"device")
    return info[:at] + b"Device" + info[at + 6:]


write("bad", "bad-signature.changed-subject", csr(change=flip))
write("bad", "bad-signature.other-key", csr(public_key=spki(ec("other", "P-256"))))
write("bad", "bad-signature.off-curve-point",
      csr(public_key=spki(P256)[:-64] + b"\x01" * 64))
write("bad", "duplicate-attribute.two-requests", csr(tlv(0xA0, san(tlv(0x82, b"a")), san(tlv(0x82, b"b")))))
write("bad", "duplicate-attribute.two-values",
      csr(tlv(0xA0, request_attribute(seq(extension(SAN, seq(tlv(0x82, b"a")))),
                                      seq(extension(SAN, seq(tlv(0x82, b"b"))))))))
write("bad", "duplicate-attribute.of-microsoft", csr(tlv(0xA0, san(tlv(0x82, b"a")), seq(
    oid("1.3.6.1.4.1.311.2.1.14"), tlv(0x31, seq())))))
write("bad", "duplicate-extension", csr(tlv(0xA0, request_attribute(
    seq(extension(SAN, seq(tlv(0x82, b"a"))), extension(SAN, seq(tlv(0x82, b"b"))))))))
write("bad", "malformed.empty", b"")
write("bad", "malformed.truncated", csr()[:-1])
write("bad", "malformed.indefinite-length", b"\x30\x80" + csr()[3:] + b"\0\0")
write("bad", "malformed.extra-field", csr(tlv(0xA0) + NULL))
write("bad", "malformed.request-without-value", csr(tlv(0xA0, request_attribute())))
write("bad", "malformed.unused-signature-bits", csr(unused=1))
write("bad", "malformed.latin-1-identifier", csr(tlv(0xA0, san(
    other_name("1.3.6.1.5.5.7.8.3", seq(tlv(0x0C, b"\xe4")))))))
write("bad", "malformed.identifier-with-extra-field", csr(tlv(0xA0, san(
    other_name("1.3.6.1.5.5.7.8.3", seq(tlv(0x0C, b"A"), oid("1.2.3"), NULL))))))
write("bad", "malformed.hardware-module-without-serial", csr(tlv(0xA0, san(
    other_name("1.3.6.1.5.5.7.8.4", seq(oid("1.2.3")))))))
write("bad", "malformed.general-name-too-long", csr(tlv(0xA0, san(b"\x82\x05abc"))))
write("bad", "malformed.other-name-without-type", csr(tlv(0xA0, san(tlv(0xA0, tlv(0xA0, NULL))))))
write("bad", "malformed.identifier-without-wrapper", csr(tlv(0xA0, san(
    tlv(0xA0, oid("1.3.6.1.5.5.7.8.3"), seq(tlv(0x0C, b"A")))))))
write("bad", "malformed.attribute-without-type", csr(tlv(0xA0, seq(tlv(0x31)))))
write("bad", "malformed.extension-without-identifier", csr(tlv(0xA0, request_attribute(seq(
    seq(octets(b"")))))))
write("bad", "malformed.basic-constraints", csr(tlv(0xA0, request_attribute(seq(
    extension("2.5.29.19", seq(tlv(0x0C, b"CA"))))))))
write("bad", "malformed.key-usage", csr(tlv(0xA0, request_attribute(seq(
    extension("2.5.29.15", octets(b"\2")))))))
write("bad", "malformed.subject", csr(subject=tlv(0x0C, b"device")))
write("bad", "duplicate-extension.basic-constraints", csr(tlv(0xA0, request_attribute(seq(
    extension("2.5.29.19", seq()), extension("2.5.29.19", seq(tlv(0x01, b"\xff"))))))))
write("bad", "non-minimal.key-usage", csr(tlv(0xA0, request_attribute(seq(
    seq(tlv(0x06, b"\x55\x1d\x80\x0f"), octets(tlv(0x03, b"\2\4"))))))))
write("bad", "malformed.rsa-key", csr(
    public_key=seq(seq(oid("1.2.840.113549.1.1.1"), NULL), bits(seq(tlv(0x02, b"\1"))))))
write("bad", "non-minimal.assigner", csr(tlv(0xA0, san(
    other_name("1.3.6.1.5.5.7.8.3", seq(tlv(0x0C, b"A"), tlv(0x06, b"\x2a\x80\x03")))))))
write("bad", "non-minimal.hardware-type", csr(tlv(0xA0, san(
    other_name("1.3.6.1.5.5.7.8.4", seq(tlv(0x06, b"\x2a\x80\x03"), octets(b"1")))))))
write("bad", "non-minimal.subject-alternative-name", csr(tlv(0xA0, request_attribute(seq(
    seq(tlv(0x06, b"\x55\x1d\x80\x11"), octets(seq(tlv(0x82, b"other.example")))))))))
write("bad", "non-minimal.basic-constraints", csr(tlv(0xA0, request_attribute(seq(
    seq(tlv(0x06, b"\x55\x1d\x80\x13"), octets(seq(tlv(0x01, b"\xff")))))))))
write("bad", "non-minimal.extension-request", csr(tlv(0xA0, seq(
    tlv(0x06, b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x80\x0e"), tlv(0x31, seq())))))
write("bad", "non-minimal.other-name", csr(tlv(0xA0, san(
    tlv(0xA0, tlv(0x06, b"\x2b\x06\x01\x05\x05\x07\x08\x80\x03"), tlv(0xA0, seq(tlv(0x0C, b"A"))))))))
write("bad", "too-large", csr(tlv(0xA0, san(tlv(0x82, b"a" * 16384)))))
write("bad", "trailing-data", csr() + b"\0")
write("bad", "unsupported-key.p521", req(ec("p521", "P-521"), "-sha512"))
write("bad", "unsupported-key.secp256k1", req(ec("k1", "secp256k1"), "-sha256"))
write("bad", "unsupported-key.explicit-curve",
      req(ec("explicit", "P-256", "-pkeyopt", "ec_param_enc:explicit"), "-sha256"))
write("bad", "unsupported-key.compressed-point", csr(public_key=openssl(
    "pkey", "-in", str(P256), "-pubout", "-outform", "DER", "-ec_conv_form", "compressed")))
write("bad", "unsupported-key.hybrid-point", csr(
    public_key=spki(P256)[:-65] + bytes([6 + spki(P256)[-1] % 2]) + spki(P256)[-64:]))
write("bad", "unsupported-key.ed448", req(key("ed448", "-algorithm", "ED448"), None))
write("bad", "unsupported-key.rsa-4104", req(rsa("rsa4104", 4104), "-sha256"))
write("bad", "unsupported-key.rsa-long-exponent", req(rsa("long", 2048, 2**32 + 15), "-sha256"))
write("bad", "unsupported-signature.sha1", req(P256, "-sha1"))
write("bad", "unsupported-signature.rsa-name-on-ec-key",
      csr(algorithm=seq(oid("1.2.840.113549.1.1.11"), NULL)))
write("bad", "unsupported-signature.parameters",
      csr(algorithm=seq(ECDSA_SHA256, oid("1.2.3"))))
write("bad", "unsupported-version", csr(version=tlv(0x02, b"\1")))
write("bad", "weak-key.rsa-2040", req(rsa("rsa2040", 2040), "-sha256"))
write("bad", "weak-key.rsa-exponent-3", req(rsa("three", 2048, 3), "-sha256"))

shutil.rmtree(WORK)
