use std::{borrow::Cow, os::unix::fs::PermissionsExt, sync::mpsc::sync_channel};

use assay_ca::MAX_CSR_LEN;
use assay_engine::{
    domain::{Attribute, Token},
    events::{Event, Judged},
    ids::OrderId,
    ports::{self, Observer},
};
use assay_jws::Thumbprint;
use assay_proto::{Identifier, Timestamp, WireIdentifier};
use assay_recording::{Answer, Evidence, Issuance, RecordedProblem};
use std::sync::atomic::Ordering;

use super::*;
use crate::recordings::{QUEUE, Queue, SentCsr};

const TIME: u64 = 1_795_000_000;

fn judged(number: u8, refused: Option<&str>) -> Judged<'static> {
    let identifier = WireIdentifier {
        kind: "permanent-identifier".to_owned(),
        value: "C02AAA".to_owned(),
    };
    Judged {
        order: OrderId::from_bytes([number; 16]),
        authorization: AuthorizationId::from_bytes([number; 16]),
        token: Cow::Owned(Token::from_stored("token".to_owned())),
        account_key: Thumbprint([7; 32]),
        identifier: Cow::Owned(Identifier::parse(&identifier).unwrap()),
        attribute: Attribute::Serial,
        answer: Cow::Owned(ports::Answer::Object(b"evidence".to_vec())),
        device: None,
        refused: refused.map(|reason| Cow::Owned(reason.to_owned())),
        at: Timestamp(TIME),
    }
}

fn job(number: u8) -> Job {
    Job::Judged(Box::new(judged(number, Some("expired"))))
}

fn csr(number: u8, csr: &[u8]) -> Job {
    finalize(number, SentCsr::Sent(csr.to_vec()), None)
}

fn finalize(number: u8, csr: SentCsr, issuance: Option<Issuance>) -> Job {
    Job::Finalize(Box::new(Finalize {
        order: OrderId::from_bytes([number; 16]),
        authorizations: vec![AuthorizationId::from_bytes([number; 16])],
        csr,
        profile: None,
        issuance,
    }))
}

fn observe_csr(queue: &Queue, csr: &[u8]) {
    queue.observe(&Event::CsrReceived {
        order: OrderId::from_bytes([1; 16]),
        authorizations: &[],
        csr,
        profile: "default",
        settings: None,
    });
}

fn path(directory: &Path, number: u8) -> PathBuf {
    let order = OrderId::from_bytes([number; 16]);
    let authorization = AuthorizationId::from_bytes([number; 16]);
    directory.join(file::name(order, authorization))
}

fn writer(directory: &Path) -> Writer {
    let plan = Plan {
        keep: Keep::All,
        directory: directory.to_owned(),
        retention: 30 * DAY,
        rule: Rule::Listed,
        laboratory_roots: Vec::new(),
        free_space: 0,
    };
    Writer::new(plan, Arc::default())
}

#[test]
fn recordings_stop_before_the_server_takes_no_orders() {
    let home = tempfile::tempdir().unwrap();
    let plan = Plan {
        free_space: 800 << 20,
        ..writer(home.path()).plan
    };
    // The guard wants an eighth more before it lets go.
    assert!(Writer::new(plan, Arc::default()).reserve > 900 << 20);
}

fn lost(writer: &Writer) -> u64 {
    writer.lost.recordings.load(Ordering::Relaxed)
}

fn names(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn a_recording_is_for_the_servers_own_eyes_and_as_old_as_its_verdict() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("a/recordings");
    let mut writer = writer(&directory);
    writer.take(job(1), Instant::now());
    let metadata = |path: &Path| fs::metadata(path).unwrap();
    let mode = |path: &Path| metadata(path).permissions().mode() & 0o777;
    let path = path(&directory, 1);
    assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
    let modified = metadata(&path).modified().unwrap();
    assert_eq!(modified, SystemTime::UNIX_EPOCH + Duration::from_secs(TIME));
    let recording = Recording::parse(&fs::read(path).unwrap()).unwrap();
    assert_eq!(recording.time().seconds(), TIME);
    assert_eq!(
        recording.contents().claims.verdict.to_string(),
        "refused: expired"
    );
    assert_eq!((names(&directory), lost(&writer)), (1, 0));
}

#[test]
fn a_csr_completes_its_recording_and_makes_none() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = writer(home.path());
    let now = Instant::now();
    writer.take(csr(1, b"early"), now);
    assert_eq!(names(home.path()), 0);
    writer.take(job(1), now);
    let read = || {
        let bytes = fs::read(path(home.path(), 1)).unwrap();
        let Evidence::Acme(acme) = Recording::parse(&bytes).unwrap().into_contents().evidence
        else {
            panic!("not of a challenge");
        };
        assert_eq!(acme.answer, Answer::Object(b"evidence".to_vec()));
        acme.csr
    };
    assert_eq!(read(), None);
    writer.take(csr(1, b"first"), now);
    assert_eq!(read(), Some(b"first".to_vec()));
    writer.take(csr(1, b"second"), now);
    assert_eq!(read(), Some(b"second".to_vec()));
    // One that makes it unreadable is left out, and so is one of a file that
    // somebody changed.
    writer.take(csr(1, &[0; MAX_RECORDING_BYTES]), now);
    assert_eq!(read(), Some(b"second".to_vec()));
    fs::write(path(home.path(), 1), "changed").unwrap();
    writer.take(csr(1, b"third"), now);
    assert_eq!(fs::read(path(home.path(), 1)).unwrap(), b"changed");
    assert_eq!((names(home.path()), lost(&writer)), (1, 0));
}

#[test]
fn the_end_of_issuance_belongs_to_the_csr_that_it_is_about() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = writer(home.path());
    let now = Instant::now();
    writer.take(job(1), now);
    let read = || {
        let bytes = fs::read(path(home.path(), 1)).unwrap();
        match Recording::parse(&bytes).unwrap().into_contents().evidence {
            Evidence::Acme(acme) => (acme.csr, acme.issuance),
            Evidence::DeviceInformation(_) => panic!("not of a challenge"),
        }
    };
    let refused = || Some(Issuance::refused(RecordedProblem::new("urn:x", "no")));
    let issued = || Some(Issuance::issued(None));
    let sent = |csr: &[u8]| SentCsr::Sent(csr.to_vec());
    writer.take(finalize(1, sent(b"one"), None), now);
    writer.take(finalize(1, sent(b"one"), refused()), now);
    assert_eq!(read(), (Some(b"one".to_vec()), refused()));
    // Another CSR: what became of it is not known yet.
    writer.take(finalize(1, sent(b"two"), None), now);
    assert_eq!(read(), (Some(b"two".to_vec()), None));
    writer.take(finalize(1, SentCsr::TooLong, refused()), now);
    assert_eq!(read(), (None, refused()));
    // Two at the same time: the certificate is for the first.
    writer.take(finalize(1, sent(b"three"), None), now);
    writer.take(finalize(1, sent(b"four"), None), now);
    writer.take(finalize(1, sent(b"three"), issued()), now);
    assert_eq!(read(), (Some(b"three".to_vec()), issued()));
    writer.take(finalize(1, sent(b"four"), refused()), now);
    assert_eq!(read(), (Some(b"three".to_vec()), issued()));
}

/// A server that was restarted signs what it had begun.
#[test]
fn recovery_completes_a_recording_of_the_first_version() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = writer(home.path());
    let now = Instant::now();
    writer.take(job(1), now);
    writer.take(csr(1, b"csr"), now);
    let path = path(home.path(), 1);
    let text = fs::read_to_string(&path).unwrap();
    let first = text.replace("\"assay_recording\": 2", "\"assay_recording\": 1");
    assert_eq!(Recording::parse(first.as_bytes()).unwrap().version(), 1);
    fs::write(&path, first).unwrap();
    let issued = Issuance::issued(None);
    writer.take(finalize(1, SentCsr::Earlier, Some(issued.clone())), now);
    let recording = Recording::parse(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(recording.version(), 2);
    let Evidence::Acme(acme) = recording.into_contents().evidence else {
        panic!("not of a challenge");
    };
    assert_eq!(
        (acme.csr, acme.issuance),
        (Some(b"csr".to_vec()), Some(issued))
    );
}

#[test]
fn a_disk_that_fails_is_left_alone_and_used_again() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("recordings");
    fs::write(&directory, "in the way").unwrap();
    let mut writer = writer(&directory);
    let start = Instant::now();
    writer.take(job(1), start);
    assert_eq!(lost(&writer), 1);
    writer.caught_up();
    assert_eq!(lost(&writer), 1, "nothing is well yet");
    let readiness = writer.lost.health.readiness();
    assert_eq!(readiness.parts["recordings"], PartState::Failing);
    assert!(readiness.ready, "enrolment goes on");
    fs::remove_file(&directory).unwrap();
    writer.take(job(2), start + RETRY / 2);
    assert_eq!((lost(&writer), directory.exists()), (2, false));
    // A CSR without a recording tells nothing of the disk, and is none.
    for moment in [start + RETRY / 2, start + RETRY] {
        writer.take(csr(1, b"csr"), moment);
        writer.caught_up();
        assert_eq!(lost(&writer), 2);
    }
    writer.take(job(3), start + RETRY);
    writer.caught_up();
    assert_eq!((lost(&writer), names(&directory)), (0, 1));
    let readiness = writer.lost.health.readiness();
    assert_eq!(readiness.parts["recordings"], PartState::Ok);
    assert!(path(&directory, 3).exists());
}

#[test]
fn recordings_leave_room_for_the_database() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = writer(home.path());
    writer.reserve = u64::MAX;
    let start = Instant::now();
    writer.take(job(1), start);
    assert_eq!((names(home.path()), lost(&writer)), (0, 1));
    let error = leave_room(home.path(), u64::MAX).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let error = error.to_string();
    assert!(error.ends_with("are left to the database"), "{error}");
    writer.reserve = 0;
    writer.take(job(2), start + RETRY);
    assert_eq!(names(home.path()), 1);
}

#[test]
fn a_full_queue_holds_nobody_up() {
    let (jobs, waiting) = sync_channel(QUEUE);
    let lost = Arc::new(Lost::default());
    let queue = Queue {
        jobs,
        keep: Keep::Refused,
        lost: Arc::clone(&lost),
    };
    queue.observe(&Event::ChallengeJudged(&judged(1, None)));
    observe_csr(&queue, b"csr");
    assert!(waiting.try_recv().is_err(), "only refusals are kept");
    for _ in 0..QUEUE + 5 {
        queue.observe(&Event::ChallengeJudged(&judged(1, Some("expired"))));
    }
    assert_eq!(lost.recordings.load(Ordering::Relaxed), 5);
    assert_eq!(waiting.try_iter().count(), QUEUE);
    drop(waiting);
    // The server is ending.
    queue.observe(&Event::ChallengeJudged(&judged(1, Some("expired"))));
    assert_eq!(lost.recordings.load(Ordering::Relaxed), 5);
}

#[test]
fn a_csr_that_is_too_long_to_be_parsed_is_not_kept() {
    let (jobs, waiting) = sync_channel(QUEUE);
    let queue = Queue {
        jobs,
        keep: Keep::All,
        lost: Arc::default(),
    };
    let sent = || match waiting.try_recv() {
        Ok(Job::Finalize(finalize)) => finalize.csr,
        _ => panic!("no job"),
    };
    observe_csr(&queue, &[0; MAX_CSR_LEN + 1]);
    assert!(matches!(sent(), SentCsr::TooLong));
    observe_csr(&queue, &[0; MAX_CSR_LEN]);
    assert!(matches!(sent(), SentCsr::Sent(csr) if csr.len() == MAX_CSR_LEN));
}

#[test]
fn what_waits_is_written_before_the_end() {
    let home = tempfile::tempdir().unwrap();
    let writer = writer(home.path());
    let (recordings, observer) =
        crate::recordings::Recordings::start(writer.plan, Arc::default()).unwrap();
    let observer = observer.unwrap();
    for number in 0..100 {
        observer.observe(&Event::ChallengeJudged(&judged(number, None)));
    }
    recordings.finish();
    // 1970 is not 30 days ago, but the first look came before the files.
    assert_eq!(names(home.path()), 100);
}

#[test]
fn what_is_expired_goes_and_what_is_not_ours_stays() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path();
    let mut writer = writer(directory);
    let now = Instant::now();
    writer.take(job(1), now);
    let moment = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let old = |name: &str| {
        let file = fs::File::create(directory.join(name)).unwrap();
        file.set_modified(moment(TIME)).unwrap();
    };
    old(".recording-x");
    old("notes.json");
    old("order-foreign.json");
    // Of the form of ours, but a folder, which may hold anything.
    let folder = file::name(
        OrderId::from_bytes([9; 16]),
        AuthorizationId::from_bytes([9; 16]),
    );
    fs::create_dir(directory.join(&folder)).unwrap();
    fs::File::open(directory.join(&folder))
        .and_then(|folder| folder.set_modified(moment(TIME)))
        .unwrap();
    let month = 30 * 86_400;
    writer.remove_expired(moment(TIME + month - 1));
    assert_eq!(names(directory), 5);
    writer.remove_expired(moment(TIME + month));
    assert_eq!(names(directory), 3);
    for name in ["notes.json", "order-foreign.json", &folder] {
        assert!(directory.join(name).exists(), "{name}");
    }
    // A directory that is not there holds nothing.
    fs::remove_dir_all(directory).unwrap();
    writer.remove_expired(moment(TIME + month));
}

fn dated(directory: &Path, number: u8, seconds: u64) -> PathBuf {
    let path = path(directory, number);
    let file = fs::File::create(&path).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_modified(time).unwrap();
    path
}

/// The clock was two years ahead when it was judged. It is right again.
#[test]
fn a_recording_that_was_judged_while_the_clock_was_ahead_expires_all_the_same() {
    const YEARS: u64 = 2 * 365 * 86_400;
    let home = tempfile::tempdir().unwrap();
    let writer = writer(home.path());
    let moment = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let ahead = dated(home.path(), 1, TIME + YEARS);
    let link = path(home.path(), 2);
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let far = Timespec {
        tv_sec: (TIME + YEARS) as i64,
        tv_nsec: 0,
    };
    let far = Timestamps {
        last_access: far,
        last_modification: far,
    };
    utimensat(CWD, &link, &far, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    // As the database's time may be a little ahead of the clock's.
    let soon = dated(home.path(), 3, TIME + 60);
    assert_eq!(writer.remove_expired(moment(TIME)), DAY);
    let modified = |path: &Path| path.symlink_metadata().unwrap().modified().unwrap();
    assert_eq!(modified(&ahead), moment(TIME));
    assert_eq!(modified(&link), moment(TIME));
    assert_eq!(modified(&soon), moment(TIME + 60));
    let month = 30 * 86_400;
    writer.remove_expired(moment(TIME + month - 1));
    assert_eq!(names(home.path()), 3);
    writer.remove_expired(moment(TIME + month));
    assert_eq!(names(home.path()), 1);
}

#[test]
fn nothing_expires_by_a_clock_that_is_in_doubt() {
    let home = tempfile::tempdir().unwrap();
    let writer = writer(home.path());
    dated(home.path(), 1, TIME);
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(TIME) + 400 * DAY;
    writer.lost.health.degrade(Part::Clock, "it is ahead");
    assert_eq!(writer.remove_expired(later), MINUTE);
    assert_eq!(names(home.path()), 1);
    writer.lost.health.recover(Part::Clock);
    assert_eq!(writer.remove_expired(later), DAY);
    assert_eq!(names(home.path()), 0);
}

#[test]
fn health_names_recordings_that_cannot_be_removed() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("recordings");
    fs::write(&directory, "no folder").unwrap();
    let writer = writer(&directory);
    let now = SystemTime::now();
    assert_eq!(writer.remove_expired(now), HOUR);
    let reason = || writer.lost.health.readiness().reasons.remove("recordings");
    let said = reason().unwrap();
    assert!(said.contains("cannot remove recordings"), "{said}");
    fs::remove_file(&directory).unwrap();
    assert_eq!(writer.remove_expired(now), DAY);
    assert_eq!(reason(), None);
}

/// Nothing was judged yet, and nothing is: health knows all the same.
#[test]
fn a_directory_that_cannot_be_written_is_known_before_and_after_the_first_recording() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("recordings");
    fs::write(&directory, "in the way").unwrap();
    let mut writer = writer(&directory);
    let failing = |writer: &Writer| {
        let readiness = writer.lost.health.readiness();
        readiness.parts["recordings"] == PartState::Failing
    };
    let start = Instant::now();
    writer.try_directory(start);
    writer.caught_up();
    assert!(failing(&writer));
    assert_eq!(writer.blocked, Some(start + RETRY));
    fs::remove_file(&directory).unwrap();
    writer.try_directory(start + RETRY);
    writer.caught_up();
    assert!(!failing(&writer));
    assert_eq!((names(&directory), lost(&writer)), (0, 0));
    // A disk without room is found in the same way.
    writer.reserve = u64::MAX;
    writer.try_directory(start + RETRY);
    assert!(failing(&writer));
    // Where nothing is kept, nothing is tried.
    writer.plan.keep = Keep::None;
    writer.plan.directory = home.path().join("other");
    writer.try_directory(start + RETRY);
    assert!(!writer.plan.directory.exists());
}
