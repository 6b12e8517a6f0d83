"""An API to language models that keeps content for 30 days: the running platform against its source."""

import secrets
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import httpx
import pytest

from avow import app
from avow.policy import Policy, parse
from tests.certificates import make_certificate
from tests.platform import MODEL, Platform, complete, new_platform, wait_until
from tests.promises.profile import ProfileChecks, check_gate, text_of
from tests.promises.purposes import check_purposes, check_sums


class TestInfiner(ProfileChecks):
    profile, prefix, stored = "infiner", "INF", "trace"
    region = "US"
    besides = ("journey",)

    @pytest.mark.promise("INF-0.2")
    def test_everybody_reads_the_policy_with_its_version(self, running: Platform) -> None:
        with running.http() as http:
            page = text_of(http.get("/privacy", params={"locale": "en"}))
            home = http.get("/").text
        assert "Version 1" in page
        assert "This policy says what is collected, why, how long it stays" in page
        assert 'href="/privacy"' in home

    @pytest.mark.promise("INF-1.4")
    def test_a_call_leaves_one_record_of_who_when_which_model_and_how_it_went(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        """And nothing of the address or the device that it came from."""
        about = {name: f"mark{secrets.token_hex(10)}" for name in ("user-agent", "referer", "accept-language")}
        with running.http() as http:
            given = self.newcomer(http, policy, published)
            assert http.post("/api/auth/signup", json=given).status_code == 202
            me = running.sign_in(http, given["email"], given["password"])
            before = {"headers": {**about, "x-forwarded-for": "203.0.113.77"}}
            assert complete(http, running.key(http)["secret"], "Say something.", **before).is_success
        [event] = running.sql("SELECT * FROM usage WHERE subject_id = $1", UUID(me["id"]))
        always = {"id", "tenant_id", "subject_id", "since", "ends_at", "policy_version"}
        assert set(event.keys()) - always == set(published["keep.usage"]["says"]["fields"])
        assert (event["model"], event["status"]) == (MODEL, 200) and event["latency_ms"] >= 0
        copy = running.cli("subject", "export", me["id"]).stdout
        assert str(event["key_id"]) in copy, "the control: the record is in the copy"
        for word in (*about.values(), "203.0.113.77"):
            assert word not in copy
        assert running.scan([*about.values(), "203.0.113.77"]) == {}

    def test_a_report_that_nobody_has_shown_is_not_claimed(self, running: Platform) -> None:
        """SOC 2 is no sentence of code: it waits for its document."""
        with running.http() as http:
            assert "SOC 2" not in text_of(http.get("/privacy", params={"locale": "en"}))

    @pytest.mark.promise("INF-5.3")
    @pytest.mark.promise("INF-5.4")
    @pytest.mark.promise("INF-5.7")
    @pytest.mark.promise("INF-8.3")
    @pytest.mark.promise("INF-8.5")
    def test_what_people_do_is_claimed_only_while_a_document_stands_behind_it(
        self, running: Platform, policy: Policy, tmp_path: Path
    ) -> None:
        check_gate(running, policy, tmp_path)

    @pytest.mark.promise("INF-4.1")
    @pytest.mark.promise("INF-4.2")
    @pytest.mark.promise("INF-4.4")
    @pytest.mark.promise("INF-4.5")
    @pytest.mark.promise("INF-4.6")
    def test_data_goes_to_others_only_on_the_grounds_of_the_policy_and_with_what_each_needs(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]], tmp_path: Path
    ) -> None:
        self.check_register(running, policy, published, tmp_path, silent=True)

    @pytest.mark.promise("INF-8.1")
    def test_everything_stands_in_a_country_that_is_named_and_a_start_elsewhere_is_refused(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_regions(running, policy, published)

    @pytest.mark.promise("INF-8.2")
    def test_who_lives_elsewhere_is_shown_at_sign_up_that_data_goes_abroad_and_with_which_version(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        with running.http() as http:
            shown = http.get("/api/auth/signup").json()["transfer"]
            assert shown["countries"] == ["US"] and "it goes there" in shown["text"]["en"]
            given = self.newcomer(http, policy, published)
            without = {name: value for name, value in given.items() if name != "transfer_shown"}
            refused = http.post("/api/auth/signup", json=without)
            assert (refused.status_code, refused.json()["code"]) == (403, "transfer_not_shown")
            assert "it goes there" in refused.json()["hint"]
            ids = []
            for sent in (given, {**without, "email": f"u-{secrets.token_hex(6)}@example.org", "country": "US"}):
                assert http.post("/api/auth/signup", json=sent).status_code == 202
                ids.append(UUID(running.sign_in(http, sent["email"], sent["password"])["id"]))
        stored = [running.sql("SELECT notice, notice_version FROM notice WHERE subject_id = $1", id) for id in ids]
        assert [[tuple(row) for row in rows] for rows in stored] == [[("transfer", 1)], []]

    @pytest.mark.promise("INF-4.7")
    def test_data_goes_to_a_recipient_while_its_person_consents_to_it(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_consent(running, policy, published)

    @pytest.mark.promise("INF-2.0")
    @pytest.mark.promise("INF-2.1")
    def test_data_serves_what_the_policy_lists_and_improves_the_service_in_sums_only(
        self, running: Platform, policy: Policy
    ) -> None:
        check_purposes(running, policy)

    @pytest.mark.promise("INF-2.5")
    @pytest.mark.promise("INF-3.6")
    def test_the_service_is_improved_from_sums_over_ten_organisations_and_no_fewer(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        def enter(http: httpx.Client) -> dict[str, Any]:
            given = self.newcomer(http, policy, published)
            assert http.post("/api/auth/signup", json=given).status_code == 202
            return running.sign_in(http, given["email"], given["password"]) | {"email": given["email"]}

        check_sums(running, enter)

    @pytest.mark.promise("INF-9.1")
    @pytest.mark.promise("INF-9.2")
    @pytest.mark.promise("INF-9.3")
    @pytest.mark.promise("INF-9.4")
    @pytest.mark.promise("INF-9.5")
    def test_cookies_are_those_of_the_register_and_the_optional_ones_wait_for_a_choice(
        self, running: Platform, policy: Policy, published: Mapping[str, dict[str, Any]]
    ) -> None:
        self.check_cookies(running, policy, published)


class Elsewhere:
    """A port that speaks one version of TLS, and what became of each handshake."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.seen: list[str] = []

    def speak(self, version: ssl.TLSVersion) -> None:
        self.seen.clear()
        self.context.minimum_version, self.context.maximum_version = ssl.TLSVersion.TLSv1_2, version
        self.context.minimum_version = version

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            connection.settimeout(20)
            try:
                with self.context.wrap_socket(connection, server_side=True) as spoken:
                    self.seen.append(str(spoken.version()))
            except ssl.SSLError as wrong:
                self.seen.append(wrong.reason)


@contextmanager
def elsewhere(certificate: Path, key: Path) -> Iterator[Elsewhere]:
    made = Elsewhere(certificate, key)
    thread = Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.listening.shutdown(socket.SHUT_RDWR)
        made.listening.close()
        thread.join()


def spoken(port: int, version: ssl.TLSVersion, certificate: Path) -> str | None:
    """The version in which a port of the platform answers somebody who speaks only this one; None: it does not."""
    context = ssl.create_default_context(cafile=certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = version
    try:
        plain = socket.create_connection(("127.0.0.1", port), 20)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as safe:
            return safe.version()
    except ssl.SSLError:
        return None


@pytest.mark.promise("INF-5.1")
def test_tls_1_3_is_spoken_on_every_port_and_with_everybody_and_1_2_with_nobody(tmp_path: Path) -> None:
    """The listener, the mail relay and an upstream: each is tried with a side that speaks one version alone."""
    old, new = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    certificate, key = make_certificate(tmp_path)
    text, settings = app.policy_text("infiner"), {"tls_cert": str(certificate), "tls_key": str(key), "region": "US"}
    with (
        elsewhere(certificate, key) as relay,
        elsewhere(certificate, key) as upstream,
        new_platform(text, engine="0", smtp_url=f"smtps://127.0.0.1:{relay.port}", **settings) as platform,
    ):
        platform.trusts = certificate
        relay.speak(old)
        upstream.speak(old)
        platform.start()
        assert (spoken(platform.port, old, certificate), spoken(platform.port, new, certificate)) == (None, "TLSv1.3")
        platform.cli("upstream", "add", "away", f"https://127.0.0.1:{upstream.port}/v1", "--own")
        platform.cli("model", "add", MODEL, "--upstream", "away", "--input", "1", "--output", "1")
        with platform.https() as http:
            assert "Data on its way is encrypted with TLS 1.3." in text_of(http.get("/privacy?locale=en"))
            clauses = http.get("/.well-known/avow-policy.json").json()["clauses"]
            published = {each["id"]: each for each in clauses}
            bearer = {"authorization": f"Bearer {platform.demo['api_key']}"}
            wait_until(lambda: MODEL in http.get("/v1/models", headers=bearer).text)

            def both_are_asked(version: ssl.TLSVersion, expected: str) -> None:
                relay.speak(version)
                upstream.speak(version)
                given = TestInfiner().newcomer(http, parse(text, "infiner"), published)
                assert http.post("/api/auth/signup", json=given).status_code == 202
                answer = complete(http, platform.demo["api_key"], "Say something.")
                assert answer.status_code in (502, 503), answer.text
                wait_until(lambda: relay.seen and upstream.seen)
                assert ({*relay.seen}, {*upstream.seen}) == ({expected}, {expected})

            both_are_asked(old, "UNSUPPORTED_PROTOCOL")
            both_are_asked(new, "TLSv1.3")
