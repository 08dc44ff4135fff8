"""Settings: from a file, from the environment, and every fault at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from services.errors import SettingsError, UnknownName
from services.retention.policy import RetentionPolicy
from services.settings.environment import Environment, from_environment
from services.settings.load import load_settings
from services.settings.model import Settings
from services.settings.secret_texts import secrets_of
from services.stream.encryption import generate_key

SECRET, PUBLIC = generate_key()
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://ada:p%40ss@db.example:5432/la_factoria?sslmode=require",
    "BACKUP_STORAGE": "s3://la-factoria-backups/prod",
    "S3_ENDPOINT_URL": "https://account.r2.example",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "planted-secret",
    "BACKUP_RECIPIENTS": PUBLIC,
    "BACKUP_ENCRYPTION_KEY": SECRET,
    "BACKUPS_HOME": "/tmp/backups-home",
}


def load(environ: dict[str, str]) -> Settings:
    settings = load_settings(environ)
    assert settings is not None
    return settings


def from_file(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "backups.toml"
    path.write_text(text)
    return load({"BACKUPS_CONFIG": str(path), "BACKUPS_HOME": str(tmp_path)} | environ)


def faults_of(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return caught.value.faults


def test_nothing_configured_means_the_sample_environment() -> None:
    assert load_settings({}) is None
    assert load_settings({"AWS_REGION": "x", "BACKUPS_HOME": "/x", "BACKUP_ENCRYPTION_KEY": SECRET}) is None


def test_the_environment_alone_configures_one_database() -> None:
    settings = load(ENVIRONMENT)
    (database,), (storage,) = settings.databases, settings.storages
    assert (database.name, storage.name, storage.url) == ("la_factoria", "primary", "s3://la-factoria-backups/prod")
    assert storage.endpoint_url == "https://account.r2.example"
    assert settings.recipients == (PUBLIC,)
    assert settings.catalog_url.get_secret_value() == "sqlite:////tmp/backups-home/catalog.db"
    assert settings.storages_of(database) == (storage,)
    assert not settings.sample


def test_the_name_of_the_database_can_be_set_and_recipients_follow_from_the_key() -> None:
    environ = ENVIRONMENT | {"BACKUP_DATABASE_NAME": "production"}
    del environ["BACKUP_RECIPIENTS"]
    settings = load(environ)
    assert settings.databases[0].name == "production"
    assert settings.recipients == (PUBLIC,)


def test_recipients_that_are_set_and_empty_are_refused_and_not_taken_from_whatever_key_is_there() -> None:
    for empty in ("", "  "):
        with pytest.raises(SettingsError, match="BACKUP_RECIPIENTS: is set and empty; for example age1"):
            load(ENVIRONMENT | {"BACKUP_RECIPIENTS": empty})


def test_a_file_configures_any_number_of_databases_and_storages(tmp_path: Path) -> None:
    settings = from_file(
        tmp_path,
        f"""
        recipients = ["{PUBLIC}"]
        [[storages]]
        name = "r2"
        url = "s3://bucket-one"
        limit_bytes = "2TB"
        [[storages]]
        name = "disk"
        url = "file:///var/backups"
        [[databases]]
        name = "one"
        url = "postgresql://u:p@h/one"
        storages = ["disk", "r2"]
        rpo = "6h"
        hash_limit = "10GB"
        [[databases]]
        name = "two"
        url = "postgresql://u:p@h/two"
        """,
        CATALOG_URL="postgresql://c:d@h/catalog",
    )
    one, two = settings.databases
    assert (one.rpo, one.hash_limit) == (timedelta(hours=6), 10**10)
    assert [s.name for s in settings.storages_of(one)] == ["disk", "r2"]
    assert [s.name for s in settings.storages_of(two)] == ["r2"]
    assert settings.storage("r2").limit_bytes == 2 * 10**12
    assert settings.catalog_url.get_secret_value() == "postgresql://c:d@h/catalog"


def test_a_length_of_time_beyond_the_calendar_is_a_fault_like_another(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        from_file(tmp_path, '[[databases]]\nname = "one"\nurl = "postgresql://u@h/x"\nrpo = "99999999999d"')
    assert any("rpo" in fault and "longer than the calendar" in fault for fault in caught.value.faults)


def test_every_fault_is_named_at_once_with_its_field_and_an_example(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        from_file(
            tmp_path,
            """
            recipients = ["age1nonsense"]
            encryption_key = "planted-secret"
            colour = "red"
            [[storages]]
            name = "../evil"
            url = "ftp://x"
            limit_bytes = "2 apples"
            [[databases]]
            name = "one"
            url = "mysql://ada:planted-secret@h/x"
            rpo = "soon"
            compression_level = 99
            storages = ["nowhere"]
            """,
        )
    text = "\n".join(caught.value.faults)
    for field in ("name", "url", "limit_bytes", "rpo", "compression_level", "colour", "recipients", "encryption_key"):
        assert field in text, field
    assert "for example 500GB" in text
    assert "planted-secret" not in str(caught.value)
    assert "7 faults" in caught.value.message or len(caught.value.faults) >= 7


def test_a_faulty_field_does_not_hide_what_else_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        from_file(
            tmp_path,
            """
            recipients = ["agezzz"]
            workers = 0
            [[storages]]
            name = "disk"
            url = "file:///x"
            [[databases]]
            name = "one"
            url = "postgresql://u@h/x"
            rpo = "soon"
            storages = ["nope"]
            """,
        )
    assert len(caught.value.faults) == 4, caught.value.faults
    for part in ("agezzz", "workers", "rpo", "'nope'"):
        assert part in str(caught.value)


def test_keys_that_are_no_keys_and_storages_that_do_not_exist_are_faults(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        from_file(
            tmp_path,
            """
            recipients = ["age1nonsense"]
            encryption_key = "planted-secret"
            signing_key = "short"
            restore_test_url = "http://x"
            [[storages]]
            name = "disk"
            url = "file:///x"
            [[databases]]
            name = "one"
            url = "postgresql://u@h/x"
            storages = ["nowhere"]
            [[databases]]
            name = "one"
            url = "postgresql://u@h/x"
            """,
        )
    text = "\n".join(caught.value.faults)
    for part in ("recipients", "encryption_key", "signing_key", "restore_test_url", "'nowhere'", "stands twice"):
        assert part in text, part
    assert "planted-secret" not in text


def test_without_recipients_an_encrypted_backup_is_a_fault_and_a_plain_one_is_not(tmp_path: Path) -> None:
    text = '[[storages]]\nname="d"\nurl="file:///x"\n[[databases]]\nname="one"\nurl="postgresql://u@h/x"\n'
    with pytest.raises(SettingsError, match="backups keygen"):
        from_file(tmp_path, text)
    assert from_file(tmp_path, text + "encrypt = false\n").recipients == ()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"BACKUP_STORAGE": ""}, "BACKUP_STORAGE"),
        ({"BACKUP_STORAGE": "bucket"}, "BACKUP_STORAGE"),
        ({"DATABASE_URL": "mysql://h/x"}, "DATABASE_URL"),
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://h"}, "BACKUP_DATABASE_NAME"),
        ({"DATABASE_URL": "postgresql://u:planted@[::1/db"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:planted@h:abc/db"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://h/db"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:planted@h/db?nonsense=1"}, "DATABASE_URL"),
        ({"RESTORE_TEST_URL": "postgresql://u:planted@h:abc/db"}, "RESTORE_TEST_URL"),
        ({"RESTORE_TEST_URL": "postgresql://u:planted@[::1/db"}, "RESTORE_TEST_URL"),
        ({"CATALOG_URL": "foo"}, "CATALOG_URL"),
        ({"CATALOG_URL": "mysql://u:planted@h/x"}, "CATALOG_URL"),
        ({"CATALOG_URL": "postgresql://u:planted@h:abc/x"}, "CATALOG_URL"),
        ({"BACKUP_RECIPIENTS": "age1x"}, "recipients"),
        ({"BACKUP_ENCRYPTION_KEY": "x"}, "BACKUP_ENCRYPTION_KEY"),
        ({"BACKUP_DATABASE_NAME": "a/b"}, "BACKUP_DATABASE_NAME"),
    ],
)
def test_each_fault_of_the_environment_names_its_variable(changes: dict[str, str], field: str) -> None:
    faults = faults_of(ENVIRONMENT | changes)
    assert any(field in fault for fault in faults)
    assert not any("planted" in fault for fault in faults)


def test_every_url_that_cannot_be_used_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        from_file(
            tmp_path,
            f"""
            home = 5
            catalog_url = "foo"
            restore_test_url = "postgresql://u:p@h:abc/x"
            recipients = ["{PUBLIC}"]
            [[storages]]
            name = "disk"
            url = "file:///x"
            [[databases]]
            name = "one"
            url = "postgresql://u:p@[::1/x"
            [[databases]]
            name = "two"
            url = "postgresql://h/x"
            verify_after = "archive"
            """,
            BACKUPS_HOME="",
        )
    text = "\n".join(caught.value.faults)
    for field in (
        "home",
        "CATALOG_URL",
        "RESTORE_TEST_URL",
        "databases[one].url",
        "databases[two].url",
        "verify_after",
    ):
        assert field in text, field
    assert len(caught.value.faults) == 6


def test_reading_archives_to_their_end_needs_the_key_only_where_they_are_encrypted(tmp_path: Path) -> None:
    text = (
        f'recipients = ["{PUBLIC}"]\n[[storages]]\nname="d"\nurl="file:///x"\n'
        '[[databases]]\nname="one"\nurl="postgresql://u@h/x"\nverify_after="archive"\n'
    )
    with pytest.raises(SettingsError, match=r"databases\[one\].verify_after.*BACKUP_ENCRYPTION_KEY"):
        from_file(tmp_path, text)
    assert from_file(tmp_path, text + "encrypt = false\n").databases[0].verify_after == "archive"
    assert from_file(tmp_path, text, BACKUP_ENCRYPTION_KEY=SECRET).databases[0].verify_after == "archive"


@pytest.mark.parametrize("content", [None, "a = [", "\xff"])
def test_a_file_that_is_not_there_or_not_toml_says_so(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "b.toml"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    assert "BACKUPS_CONFIG" in faults_of({"BACKUPS_CONFIG": str(path)})[0]


def test_every_secret_is_known_so_that_it_can_be_masked() -> None:
    assert secrets_of(load(ENVIRONMENT)) == {"p%40ss", "p@ss", "planted-secret", SECRET}


def test_a_password_in_the_query_of_a_url_is_masked_too() -> None:
    url = "postgresql://ada@h/la_factoria?password=q%2Fuery"
    found = secrets_of(
        load(
            ENVIRONMENT
            | {"DATABASE_URL": url, "CATALOG_URL": "postgresql://h/c?password=cat-word&sslpassword=of-the-key"}
        )
    )
    assert {"q%2Fuery", "q/uery", "of-the-key", "cat-word"} <= found


def test_secrets_do_not_show_in_the_settings_text() -> None:
    text = repr(load(ENVIRONMENT)) + str(load(ENVIRONMENT))
    for secret in ("p%40ss", "planted-secret", SECRET):
        assert secret not in text


def test_an_unknown_database_says_what_is_close() -> None:
    with pytest.raises(UnknownName, match="Did you mean la_factoria"):
        load(ENVIRONMENT).database("lafactoria")
    with pytest.raises(UnknownName, match="Known: primary"):
        load(ENVIRONMENT).storage("xyz")


_RETENTION = """
        recipients = ["{key}"]
        {common}
        [[storages]]
        name = "disk"
        url = "file:///var/backups"
        [[databases]]
        name = "one"
        url = "postgresql://u:p@h/one"
        [databases.retention]
        {own}
        [[databases]]
        name = "two"
        url = "postgresql://u:p@h/two"
        """


def with_retention(tmp_path: Path, own: str, common: str = "") -> Settings:
    return from_file(tmp_path, _RETENTION.format(key=PUBLIC, own=own, common=common))


def test_a_databases_retention_stands_over_that_of_all_over_the_runbooks(tmp_path: Path) -> None:
    assert load(ENVIRONMENT).retention_of(load(ENVIRONMENT).databases[0]) == RetentionPolicy(7, 4, 12, 5, 3)
    settings = with_retention(
        tmp_path, "daily = 14\nminimum = 5", '[retention]\nyearly = 0\ndaily = 3\npartial_age = "2w"'
    )
    one, two = (settings.retention_of(database) for database in settings.databases)
    assert one == RetentionPolicy(14, 4, 12, 0, 5, timedelta(days=14))
    assert two == RetentionPolicy(3, 4, 12, 0, 3, timedelta(days=14))
    alone = load(ENVIRONMENT | {"BACKUP_RETENTION": "30,8,0,0"})
    assert alone.retention_of(alone.databases[0]) == RetentionPolicy(30, 8, 0, 0)


@pytest.mark.parametrize(
    ("own", "common", "said"),
    [
        ("daily = -1", "", "databases[one].retention.daily: Input should be greater than or equal to 0; for example 7"),
        ("weekly = 1.5", "", "databases[one].retention.weekly"),
        ("monthly = true", "", "databases[one].retention.monthly"),
        ('yearly = "5"', "", "databases[one].retention.yearly"),
        ("minimum = 0", "", "databases[one].retention.minimum: Input should be greater than or equal to 1"),
        ('partial_age = "30"', "", "databases[one].retention.partial_age: write a number and a unit"),
        ("hourly = 3", "", "databases[one].retention.hourly: is not a setting"),
        ("", "retention = 7", "retention: "),
        ("", "[retention]\ndaily = -7", "retention.daily: "),
        ("", "[retention]\ndaily = 0\nweekly = 0\nmonthly = 0\nyearly = 0", "retention: A retention policy of zeros"),
        ("daily = 0", "[retention]\nweekly = 0\nmonthly = 0\nyearly = 0",
         "databases[one].retention: A retention policy of zeros would keep nothing; for example daily = 7"),
    ],
)  # fmt: skip
def test_a_wrong_retention_is_named_with_its_field_and_an_example(
    tmp_path: Path, own: str, common: str, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        with_retention(tmp_path, own, common)
    [fault] = caught.value.faults
    assert fault.startswith(said)
    assert "for example" in fault or "is not a setting" in fault


def test_a_wrong_retention_in_the_environment_says_what_is_allowed() -> None:
    [fault] = faults_of(ENVIRONMENT | {"BACKUP_RETENTION": "7,4,12"})
    assert fault.startswith("BACKUP_RETENTION: '7,4,12' is no retention policy.")
    assert "for example 7,4,12,5" in fault


@pytest.mark.parametrize("password", ["hunter2/topsecret", "hunter2#topsecret", "hunter2?topsecret", "1234/topsecret"])
def test_a_password_with_a_raw_slash_never_becomes_the_name_of_the_database(password: str) -> None:
    env = Environment(DATABASE_URL=f"postgresql://backup:{password}@127.0.0.1:55433/la_factoria")
    faults: list[str] = []
    values = from_environment(env, faults)
    for database in values["databases"]:
        assert database["name"] == "database"
    assert "topsecret" not in repr(faults)


def test_a_sound_url_names_the_database() -> None:
    env = Environment(DATABASE_URL="postgresql://backup:hunter2%2Ftop@127.0.0.1:55433/la_factoria?sslmode=require")
    assert from_environment(env, [])["databases"][0]["name"] == "la_factoria"
