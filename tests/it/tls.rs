//! TLS to Postgres: a server that lets nobody in without it, authorities made here, and what is said of each that is wrong.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rowcall::sandbox::postgres::{Cluster, Options};
use rowcall::store::connect::Database;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};
use url::Url;

use crate::binary::Binary;
use crate::database::PATIENCE;
use crate::fake::Fake;
use crate::pooler::Pooler;
use crate::process::ROWCALL;

/// The name that the server's certificate has.
const NAME: &str = "db.example.com";

/// An authority of this test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for the server, and its key, valid to the end of this year.
    fn signs(&self, last_year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(last_year, 12, 31);
        (parameters.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// Its own certificate in a file.
    fn in_file(&self, path: PathBuf) -> PathBuf {
        fs::write(&path, self.0.pem()).unwrap();
        path
    }
}

/// A Postgres that asks for TLS.
struct Secured {
    folder: TempDir,
    cluster: Cluster,
    authority: Authority,
    root: PathBuf,
}

impl Secured {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let cluster =
            Cluster::start(Options { durable: false, ..Options::new(folder.path().join("cluster")) }).await.unwrap();
        let authority = Authority::new("the one");
        let root = authority.in_file(folder.path().join("root.crt"));
        let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls).await.unwrap();
        tokio::spawn(connection);
        let secured = Self { folder, cluster, authority, root };
        secured.show(2100);
        client.batch_execute("create database app").await.unwrap();
        client.batch_execute("alter system set ssl = on").await.unwrap();
        let only_tls = "hostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(secured.pgdata().join("pg_hba.conf"), only_tls).unwrap();
        secured.reload(&client).await;
        secured
    }

    fn pgdata(&self) -> PathBuf {
        self.folder.path().join("cluster/pgdata")
    }

    /// Gives the server a certificate that ends with this year.
    fn show(&self, last_year: i32) {
        let (certificate, key) = self.authority.signs(last_year);
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.pgdata().join(name);
            let owner = fs::metadata(self.pgdata()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
    }

    /// Has the server read its files again, and waits until it has: it does so before its sessions do.
    async fn reload(&self, client: &Client) {
        let loaded = "select pg_conf_load_time()::text";
        let before: String = client.query_one(loaded, &[]).await.unwrap().get(0);
        client.batch_execute("select pg_reload_conf()").await.unwrap();
        while client.query_one(loaded, &[]).await.unwrap().get::<_, String>(0) == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// An address with these words; `db.example.com` is the server's name, and this machine is where it is.
    fn address(&self, words: &[(&str, &str)], by_name: bool) -> String {
        let mut url = Url::parse(&self.cluster.url("app")).unwrap();
        if by_name {
            url.set_host(Some(NAME)).unwrap();
            url.query_pairs_mut().append_pair("hostaddr", "127.0.0.1");
        }
        for (word, value) in words {
            url.query_pairs_mut().append_pair(word, value);
        }
        url.into()
    }

    fn verified(&self) -> String {
        self.address(&[("sslmode", "verify-full"), ("sslrootcert", path(&self.root))], true)
    }

    async fn client(&self) -> Client {
        Database::parse(&self.verified()).unwrap().client().await.unwrap()
    }
}

/// What a command says that must not get in; never the password.
fn refusal(arguments: &[&str], address: &str) -> String {
    let output = rowcall(arguments, address);
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    let password = Url::parse(address).unwrap().password().unwrap().to_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains(&password), "{said}");
    said
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn rowcall(arguments: &[&str], address: &str) -> Output {
    let mut command = Command::new(ROWCALL);
    command.args(arguments).stdin(Stdio::null()).env_clear().env("DATABASE_URL", address);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).output().unwrap()
}

fn well(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_done_over_a_connection_whose_server_is_known() {
    let secured = Secured::start().await;
    let address = secured.verified();
    well(&rowcall(&["migrate"], &address));
    let doctor = String::from_utf8(rowcall(&["doctor"], &address).stdout).unwrap();
    assert!(doctor.contains("ok       bell"), "{doctor}");
    let client = secured.client().await;
    let fake = Fake::new();
    let worker = Binary::spawn_at(&address, &fake, &[]);
    worker.logged("The bell works").await;
    client.batch_execute("insert into codes (code, status) values ('ONE', 'creating')").await.unwrap();
    let began = Instant::now();
    while !client.query_one("select status = 'active' from codes", &[]).await.unwrap().get::<_, bool>(0) {
        assert!(began.elapsed() < PATIENCE, "{}", worker.log());
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let encrypted = "select bool_and(s.ssl) from pg_stat_ssl as s join pg_stat_activity as a using (pid) where a.application_name = 'rowcall'";
    assert!(client.query_one(encrypted, &[]).await.unwrap().get::<_, bool>(0));

    // And through a pooler with a certificate of the same authority.
    let (certificate, key) = secured.authority.signs(2100);
    let file = |name: &str, text: &str| {
        let path = secured.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (file("pooler.crt", &certificate), file("pooler.key", &key));
    let tls = format!(
        "client_tls_sslmode = require\nclient_tls_cert_file = {certificate}\nclient_tls_key_file = {key}\n\
         server_tls_sslmode = require\n"
    );
    let pooler = Pooler::with(&secured.cluster.url("app"), &tls).await;
    let mut through = Url::parse(&address).unwrap();
    through.set_port(Some(pooler.port)).unwrap();
    well(&rowcall(&["migrate"], through.as_str()));
    well(&rowcall(&["status"], through.as_str()));
    let name_is_wrong =
        pooler.through(&secured.address(&[("sslmode", "verify-full"), ("sslrootcert", path(&secured.root))], false));
    refusal(&["status"], &name_is_wrong);
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_means_what_it_means_to_libpq() {
    let secured = Secured::start().await;
    let another = Authority::new("another").in_file(secured.folder.path().join("another.crt"));
    let (root, another) = (path(&secured.root), path(&another));
    for (mode, authority, by_name, wrong) in [
        ("disable", None, false, Some("no encryption")),
        ("prefer", None, false, None),
        ("require", None, false, None),
        // With an authority, `require` is `verify-ca`.
        ("require", Some(root), false, None),
        ("require", Some(another), false, Some("UnknownIssuer")),
        ("verify-ca", Some(root), false, None),
        ("verify-ca", Some(another), false, Some("UnknownIssuer")),
        // The system's authorities sign for everybody, and did not sign for this one.
        ("verify-ca", None, true, Some("UnknownIssuer")),
        ("verify-full", None, true, Some("UnknownIssuer")),
        ("verify-full", Some(root), true, None),
        ("verify-full", Some(another), true, Some("UnknownIssuer")),
        ("verify-full", Some(root), false, Some("not valid for name \"127.0.0.1\"")),
    ] {
        let mut words = vec![("sslmode", mode)];
        words.extend(authority.map(|authority| ("sslrootcert", authority)));
        let address = secured.address(&words, by_name);
        let case = format!("{mode}, {authority:?}, by name: {by_name}");
        let Some(wrong) = wrong else {
            well(&rowcall(&["migrate"], &address));
            continue;
        };
        for command in [["migrate"], ["doctor"], ["run"]] {
            let said = refusal(&command, &address);
            assert!(said.contains(wrong), "{case}: {said}");
            assert!(said.contains("hint: ") || said.contains("mend: "), "{case}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mends_each_of_them_is_said() {
    let secured = Secured::start().await;
    let another = Authority::new("another").in_file(secured.folder.path().join("another.crt"));
    let full =
        |root: &Path, by_name| secured.address(&[("sslmode", "verify-full"), ("sslrootcert", path(root))], by_name);
    let said = |address: &str| [["run"], ["doctor"]].map(|command| refusal(&command, address)).concat();
    let mends = |said: &str, words: &str| assert_eq!(said.matches(words).count(), 2, "{words}: {said}");
    mends(&said(&full(&another, true)), "sslrootcert: the certificate of the authority");
    mends(&said(&full(&secured.root, false)), "connect by a name that the certificate has");
    let plain = said(&secured.address(&[("sslmode", "disable")], false));
    assert!(plain.contains("sslmode=require"), "{plain}");

    let client = secured.client().await;
    secured.show(2021);
    secured.reload(&client).await;
    let expired = said(&secured.verified());
    assert!(expired.contains("expired"), "{expired}");
    mends(&expired, "renew the server's certificate");
    // Who does not ask, is not told.
    well(&rowcall(&["migrate"], &secured.address(&[("sslmode", "require")], false)));
}
