"""Makes and judges certificates. Pure: keys and times come in, PEM goes out, nobody looks at a clock.

ECDSA P-256 throughout: it is what every build of Go and OpenSSL takes, the FIPS ones too (Ed25519 is not).
The extensions are those of RFC 5280 that Go's x509 and OpenSSL's strict mode ask for: basicConstraints and
keyUsage critical, extendedKeyUsage serverAuth, and the key identifiers that tell an old authority from its
successor of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from webhook.model.record import record
from webhook.tls.pair import KeyPair as KeyPair

BACKDATE = timedelta(hours=1)
"""NotBefore lies this far back, so that a client whose clock is slow can use the certificate at once."""

Kind = Literal["empty", "garbage", "mismatch", "early", "expired", "names", "issuer"]


@record(frozen=True, slots=True)
class Fault:
    """One reason not to serve with a certificate: a word for programs, a sentence for people."""

    kind: Kind
    text: str


def authority(now: datetime, days: int = 3650) -> KeyPair:
    """Make a certificate authority that may sign servers and nothing below them.

    `now` is aware; the certificate is valid from an hour before it to `days` after it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Plimsoll CA")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    built = (
        _builder(name, name, key.public_key(), now, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(_pem(built), _key_pem(key))


def server(
    ca: KeyPair,
    names: Sequence[str],
    addresses: Sequence[IPv4Address | IPv6Address | str],
    now: datetime,
    days: int = 365,
) -> KeyPair:
    """Make a server certificate for DNS `names` and IP `addresses`, signed by `ca`.

    Valid from an hour before `now` to `days` after it, and never longer than the authority.
    Raises ValueError for a `ca` that can't be read, no name at all, or a name that isn't ASCII.
    """
    if not names and not addresses:
        raise ValueError("a server certificate needs at least one name or address")
    issuer, issuer_key = _load(ca)
    key = ec.generate_private_key(ec.SECP256R1())
    general: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    general += [x509.IPAddress(ip_address(address)) for address in addresses]
    identifier = x509.SubjectKeyIdentifier.from_public_key(issuer_key.public_key())
    end = min(now + timedelta(days=days), issuer.not_valid_after_utc)
    built = (
        # Clients read subjectAltName only (RFC 6125); the common name is for people, and bounded at 64.
        _builder(_name("Plimsoll webhook"), issuer.subject, key.public_key(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(general), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return KeyPair(_pem(built), _key_pem(key))


def state(
    certificate: bytes,
    key: bytes,
    now: datetime,
    names: Sequence[str] = (),
    ca: bytes | None = None,
) -> tuple[Fault, ...]:
    """Say everything that keeps a pair from being served; nothing where all is well.

    `names` are DNS names and IP addresses that the certificate has to hold; with `ca` (PEM) it has to be
    signed by that authority. Bytes of any kind may come in: a Secret may be empty, cut or swapped.
    """
    faults = [
        Fault("empty", f"the {what} is empty")
        for what, held in (("certificate", certificate), ("key", key))
        if not held.strip()
    ]
    if faults:
        return tuple(faults)
    try:
        leaf = x509.load_pem_x509_certificates(certificate)[0]
        # Both are read lazily, and a damaged certificate can fail in either.
        held_names, public = _names(leaf), _public(leaf.public_key())
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        return (Fault("garbage", f"the certificate can't be read as PEM: {_short(error)}"),)
    try:
        own = _public(_private(key).public_key())
    except ValueError as error:
        return (Fault("garbage", f"the key can't be read as PEM: {_short(error)}"),)
    if own != public:
        faults.append(Fault("mismatch", "the key doesn't belong to the certificate"))
    faults += _times(leaf, now)
    missing = [name for name in names if not _held(name, held_names)]
    if missing:
        faults.append(Fault("names", f"the certificate doesn't name {', '.join(missing)}"))
    if ca is not None and not _issued(leaf, ca):
        faults.append(Fault("issuer", "the certificate isn't signed by this authority"))
    return tuple(faults)


def window(certificate: bytes) -> tuple[datetime, datetime, datetime]:
    """Return when a PEM certificate starts, when it should be renewed (two thirds of its life), and when it
    ends.

    All UTC. Raises ValueError for what isn't a certificate.
    """
    leaf = x509.load_pem_x509_certificates(certificate)[0]
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    return start, start + (end - start) * 2 / 3, end


def split(bundle: bytes) -> tuple[bytes, ...]:
    """Return the certificates of a bundle one by one, as PEM of one spelling; nothing where it isn't one."""
    try:
        return tuple(_pem(each) for each in x509.load_pem_x509_certificates(bundle))
    except (ValueError, UnsupportedAlgorithm):
        return ()


def issuer(certificate: bytes, bundle: bytes) -> bytes | None:
    """Return which authority of a bundle (PEM) signed a certificate, None where none did."""
    try:
        leaf = x509.load_pem_x509_certificates(certificate)[0]
    except (ValueError, UnsupportedAlgorithm):
        return None
    found = _issuer(leaf, bundle)
    return None if found is None else _pem(found)


def signs(ca: KeyPair) -> bool:
    """Say whether a server's certificate can be signed with this pair."""
    try:
        _load(ca)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def sort(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return DNS names and IP addresses apart."""
    dns, addresses = [], []
    for name in names:
        try:
            ip_address(name)
        except ValueError:
            dns.append(name)
        else:
            addresses.append(name)
    return dns, addresses


def _times(leaf: x509.Certificate, now: datetime) -> list[Fault]:
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    faults = []
    if now < start:
        faults.append(Fault("early", f"the certificate is valid only from {_day(start)}; it is {_day(now)} now"))
    if now > end:
        faults.append(Fault("expired", f"the certificate expired at {_day(end)}; it is {_day(now)} now"))
    return faults


def _names(leaf: x509.Certificate) -> frozenset[str]:
    try:
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    dns = {name.lower() for name in held.get_values_for_type(x509.DNSName)}
    return frozenset(dns | {str(address) for address in held.get_values_for_type(x509.IPAddress)})


def _held(name: str, names: frozenset[str]) -> bool:
    """Match as TLS clients do: whole names, any case, a wildcard for exactly the first label; IPs by
    value."""
    try:
        return str(ip_address(name)) in names
    except ValueError:
        plain = name.lower().removesuffix(".")
    _, _, parent = plain.partition(".")
    return plain in names or (bool(parent) and f"*.{parent}" in names)


def _issued(leaf: x509.Certificate, ca: bytes) -> bool:
    return _issuer(leaf, ca) is not None


def _issuer(leaf: x509.Certificate, ca: bytes) -> x509.Certificate | None:
    try:
        for issuer in x509.load_pem_x509_certificates(ca):
            try:
                leaf.verify_directly_issued_by(issuer)
                if issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                    return issuer
            except (InvalidSignature, TypeError, ValueError, x509.ExtensionNotFound):
                continue
    except ValueError:
        return None
    return None


def _load(pair: KeyPair) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]:
    key = _private(pair.key)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("the authority's key is neither an elliptic curve key nor RSA")
    return x509.load_pem_x509_certificates(pair.certificate)[0], key


def _private(pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError("the key is encrypted") from error
    except UnsupportedAlgorithm as error:
        raise ValueError("the key is of a kind that isn't known") from error


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_utc(now - BACKDATE))
        .not_valid_after(_utc(end))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _utc(moment: datetime) -> datetime:
    # A certificate's times have whole seconds (RFC 5280, 4.1.2.5).
    return moment.astimezone(UTC).replace(microsecond=0)


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _short(error: Exception) -> str:
    first = str(error).partition("\n")[0]
    return first[:120] or type(error).__name__
