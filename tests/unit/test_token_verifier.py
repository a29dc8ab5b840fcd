"""Which tokens are taken: those of our issuer, for us, now, signed with one of its keys by an algorithm that is pinned."""

import hmac
import json
import time
from collections.abc import Sequence
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from shared.identity.errors import InvalidToken, KeysUnavailable
from shared.identity.key_set import KeySet
from shared.identity.key_source import KeySource
from shared.identity.verifier import TokenVerifier
from tests.support.tokens import AUDIENCE, ISSUER, SigningKey, encoded, good_claims, key_set, unsigned

ONE = SigningKey("one")
OTHER = SigningKey("two", "EdDSA")
RSA = SigningKey("three", "RS256")
STRANGER = SigningKey("one")


class Issuer:
    """Publishes keys, and counts how often they are read."""

    def __init__(self, *keys: SigningKey) -> None:
        self.text: bytes | Exception = key_set(*keys)
        self.reads = 0
        self.now = 0.0
        self.source = KeySource(self._read, every=300, pause=10, clock=lambda: self.now)

    async def _read(self) -> bytes:
        self.reads += 1
        if isinstance(self.text, Exception):
            raise self.text
        return self.text

    def verifier(self) -> TokenVerifier:
        return TokenVerifier(self.source, ISSUER, AUDIENCE)


@pytest.mark.parametrize("key", [ONE, OTHER, RSA], ids=lambda key: key.algorithm)
async def test_a_token_tells_whose_it_is_and_what_it_allows(key: SigningKey) -> None:
    caller = await Issuer(ONE, OTHER, RSA).verifier().verify(key.token(sub="aiko", scope="a b:c").encode())
    assert (caller.identity, caller.scopes, caller.is_authenticated) == ("aiko", frozenset({"a", "b:c"}), True)
    assert caller.display_name == "aiko"


async def test_a_token_may_be_for_several_and_say_that_it_is_one() -> None:
    verifier = Issuer(ONE).verifier()
    for token in (
        ONE.token(aud=["x", AUDIENCE]),
        ONE.token({"typ": "at+jwt"}),
        ONE.token({"typ": None}),
        ONE.token(scope=None),
    ):
        assert (await verifier.verify(token.encode())).identity == "aiko"


def signed_with_the_public_key() -> str:
    """Give a token whose secret is the issuer's public key, as everyone can make it."""
    secret = RSA.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    content = f"{encoded({'alg': 'HS256', 'kid': 'three'})}.{encoded(good_claims())}"
    return f"{content}.{encoded(hmac.digest(secret, content.encode(), 'sha256'))}"


def altered() -> str:
    header, _, signature = ONE.token().split(".")
    return f"{header}.{encoded({**good_claims(), 'sub': 'ben'})}.{signature}"


NOW = int(time.time())
BAD: Sequence[tuple[str, str, str]] = (
    ("expired", ONE.token(exp=NOW - 31), "it has expired"),
    ("not valid yet", ONE.token(nbf=NOW + 86_400), "it is not valid yet"),
    ("from the future", ONE.token(iat=NOW + 86_400), "it is not valid yet"),
    ("for another", ONE.token(aud="payroll"), "it is for another audience"),
    ("for nobody", ONE.token(aud=None), "it must have exp, iss, aud, sub"),
    ("of another issuer", ONE.token(iss="https://evil.example"), "it is of another issuer"),
    ("without an issuer", ONE.token(iss=None), "it must have exp, iss, aud, sub"),
    ("for ever", ONE.token(exp=None), "it must have exp, iss, aud, sub"),
    ("of nobody", ONE.token(sub=None), "it must have exp, iss, aud, sub"),
    ("of an empty name", ONE.token(sub=""), "its sub must be 1 to 255 printable characters"),
    ("of a long name", ONE.token(sub="a" * 256), "its sub must be 1 to 255 printable characters"),
    ("of a name with a NUL", ONE.token(sub="a\0b"), "its sub must be 1 to 255 printable characters"),
    ("of half a character", ONE.token(sub="\ud800"), "its sub must be 1 to 255 printable characters"),
    ("of a number", ONE.token(scope=7), "its scope must be a text"),
    ("altered", altered(), "its signature does not match"),
    ("of a stranger with our key id", STRANGER.token(), "its signature does not match"),
    ("without a signature", ONE.token().rsplit(".", 1)[0] + ".", "its signature does not match"),
    ("of an unknown key", SigningKey("nine").token(), "it is signed with an unknown key"),
    ("of a key id that is none", ONE.token({"kid": "../../etc/passwd"}), "it is signed with an unknown key"),
    ("alg none", unsigned(), "its algorithm is not taken"),
    ("alg None", unsigned("None"), "its algorithm is not taken"),
    ("alg a list", unsigned(["ES256"]), "its algorithm is not taken"),
    ("alg missing", unsigned(None), "its algorithm is not taken"),
    ("HS256 with our public key", signed_with_the_public_key(), "its algorithm is not taken"),
    ("another algorithm than its key's", RSA.token({"kid": "one"}), "it is signed with an unknown key"),
    ("a curve that is not pinned", unsigned("ES384"), "its algorithm is not taken"),
    ("an id token", ONE.token({"typ": "logout+jwt"}), "it is not an access token"),
    ("something that must be understood", ONE.token({"crit": ["exp"], "exp": 1}), "it is not a token of ours"),
    ("empty", "", "it is not a token of ours"),
    ("one part", "abc", "it is not a token of ours"),
    ("no JSON", "!.!.!", "it is not a token of ours"),
    ("a header that is a list", f"{encoded([])}.e30.", "it is not a token of ours"),
    ("deeply nested", f"{encoded(b'[' * 5000)}.e30.", "it is not a token of ours"),
    ("very long", ONE.token(padding="a" * 20_000), "it is too long"),
    ("not ASCII", "\u00e9.\u00e9.\u00e9", "it is not a token of ours"),
)  # fmt: skip


@pytest.mark.parametrize(("token", "reason"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
async def test_a_bad_token_is_refused_with_the_reason(token: str, reason: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        await Issuer(ONE, RSA).verifier().verify(token.encode())
    assert refused.value.reason == reason


def test_reasons_can_stand_in_a_header() -> None:
    for _, _, reason in BAD:
        assert reason.isascii()
        assert reason.isprintable()
        assert not set(reason) & {'"', "\\"}


async def test_clocks_may_be_half_a_minute_apart() -> None:
    verifier = Issuer(ONE).verifier()
    now = int(time.time())
    for claims in ({"exp": now - 15}, {"nbf": now + 15}, {"iat": now + 15}):
        assert (await verifier.verify(ONE.token(None, **claims).encode())).identity == "aiko"


async def test_times_that_are_none_are_refused() -> None:
    verifier = Issuer(ONE).verifier()
    for name in ("exp", "nbf", "iat"):
        values: list[Any] = [1e400, float("nan"), "soon", [1], {}]
        for value in values:
            with pytest.raises(InvalidToken):
                await verifier.verify(ONE.token(None, **{name: value}).encode())


async def test_a_known_token_is_forgotten_when_it_expires() -> None:
    issuer, now, expires = Issuer(ONE), [time.time()], int(time.time()) - 10
    verifier = TokenVerifier(issuer.source, ISSUER, AUDIENCE, clock=lambda: now[0])
    token = ONE.token(exp=expires).encode()
    await issuer.source.refresh()
    first = await verifier.verify(token)
    assert await verifier.verify(token) is first, "it is verified once"
    now[0] = expires + 30
    again = await verifier.verify(token)
    assert again == first
    assert again is not first, "it is verified anew, by the true time"


async def test_no_more_than_so_many_tokens_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """I10."""
    monkeypatch.setattr("shared.identity.verifier._MOST_KNOWN", 3)
    verifier = Issuer(ONE).verifier()
    for number in range(5):
        await verifier.verify(ONE.token(jti=str(number)).encode())
    assert len(verifier._known) == 3


async def test_a_new_key_is_found_at_once() -> None:
    issuer = Issuer(ONE)
    verifier = issuer.verifier()
    await verifier.verify(ONE.token().encode())
    issuer.text, issuer.now = key_set(ONE, OTHER), 20.0
    assert (await verifier.verify(OTHER.token().encode())).identity == "aiko"
    assert issuer.reads == 2


async def test_a_key_that_is_withdrawn_is_not_taken_any_more_not_even_for_known_tokens() -> None:
    issuer = Issuer(ONE, OTHER)
    verifier, token = issuer.verifier(), ONE.token().encode()
    await verifier.verify(token)
    issuer.text, issuer.now = key_set(OTHER), 20.0
    await issuer.source.refresh()
    with pytest.raises(InvalidToken, match="unknown key"):
        await verifier.verify(token)


async def test_unknown_keys_do_not_have_the_keys_read_all_the_time() -> None:
    issuer = Issuer(ONE)
    verifier = issuer.verifier()
    for number in range(50):
        with pytest.raises(InvalidToken, match="unknown key"):
            await verifier.verify(SigningKey(f"x{number}", "ES256", STRANGER.private).token().encode())
    assert issuer.reads == 1
    issuer.now = 10.0
    with pytest.raises(InvalidToken, match="unknown key"):
        await verifier.verify(STRANGER.token({"kid": "x"}).encode())
    assert issuer.reads == 2


async def test_keys_that_cannot_be_read_leave_the_earlier_ones(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer(ONE)
    verifier = issuer.verifier()
    await issuer.source.refresh()
    await issuer.source.require_current()
    texts: list[bytes | Exception] = [OSError(2, "No such file"), b"{", b'{"keys": []}', b"[" * 100_000]
    for number, text in enumerate(texts, 1):
        issuer.text, issuer.now = text, 20.0 * number
        await issuer.source.refresh()
        assert (await verifier.verify(ONE.token(jti=str(number)).encode())).identity == "aiko"
        await issuer.source.check()
        with pytest.raises(KeysUnavailable, match="earlier ones"):
            await issuer.source.require_current()
    assert caplog.messages[0] == "token keys: they cannot be read: No such file"


async def test_without_any_keys_it_is_not_the_tokens_fault() -> None:
    issuer = Issuer()
    issuer.text = OSError(2, "No such file")
    with pytest.raises(KeysUnavailable):
        await issuer.verifier().verify(ONE.token().encode())
    with pytest.raises(KeysUnavailable):
        await issuer.source.check()


def test_a_key_set_has_the_public_keys_of_the_pinned_algorithms_alone() -> None:
    weak = SigningKey("weak", "RS256", rsa.generate_private_key(65537, 1024))
    others: list[Any] = [
        {**ONE.public, "use": "enc"}, {**RSA.public, "alg": "PS256"}, {**RSA.public, "alg": "RS512"}, weak.public,
        {"kty": "oct", "k": encoded(b"s" * 64), "kid": "one", "alg": "HS256"}, {"kty": "EC"}, {"kty": []}, {},
        {**ONE.public, "kid": 7}, {**ONE.public, "x": "!"}, {**ONE.public, "alg": ["ES256"]}, "key", None,
    ]  # fmt: skip
    keys = KeySet.parse(json.dumps({"keys": [*others, OTHER.public]}).encode())
    assert [keys.find(None, algorithm) for algorithm in ("RS256", "ES256", "HS256", "none", None)] == [None] * 5
    assert keys.find("two", "EdDSA") is keys.find(None, "EdDSA")
    assert keys.find("two", "EdDSA") is not None
    for text in (b"", b"[]", b"{}", b'{"keys": {}}', json.dumps({"keys": others}).encode(), b"\xff"):
        with pytest.raises(ValueError):
            KeySet.parse(text)


def test_a_private_key_in_a_key_set_is_not_kept() -> None:
    algorithm = jwt.algorithms.get_default_algorithms()["ES256"]
    private = {**json.loads(algorithm.to_jwk(ONE.private)), "kid": "one"}
    assert "d" in private
    key = KeySet.parse(json.dumps({"keys": [private]}).encode()).find("one", "ES256")
    assert key is not None
    assert isinstance(key.key, ec.EllipticCurvePublicKey)


def test_a_key_is_not_guessed() -> None:
    keys = KeySet.parse(key_set(ONE, SigningKey("two")))
    assert keys.find(None, "ES256") is None
    assert KeySet.parse(key_set(ONE, STRANGER)).find("one", "ES256") is None


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.binary(max_size=60).map(lambda part: encoded(part).encode()), max_size=4).map(b".".join),
    )
)
async def test_whatever_comes_is_refused_and_nothing_breaks(token: bytes) -> None:
    with pytest.raises(InvalidToken):
        await Issuer(ONE).verifier().verify(token)
