use std::{fs, path::Path};

use assay_engine::admission::Inventory;

use super::*;
use crate::dir::Dir;

/// A watched list, and a clock that is moved by hand.
struct Watched {
    watch: Watch,
    devices: Arc<Devices>,
    health: Arc<Health>,
    now: Instant,
    home: tempfile::TempDir,
}

fn rows(from: usize, to: usize) -> String {
    let rows: String = (from..to).map(|n| format!("C02XK0AA{n:04},,\n")).collect();
    format!("{}\n{rows}", DeviceList::HEADER)
}

fn serial(n: usize) -> String {
    format!("C02XK0AA{n:04}")
}

impl Watched {
    fn new(list: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("devices.csv"), list).unwrap();
        let mut watched = Self::start(home).unwrap();
        watched.look();
        watched
    }

    fn start(home: tempfile::TempDir) -> anyhow::Result<Self> {
        let files = ListFiles::new(&Dir::new(home.path()), Path::new("devices.csv"));
        let devices = Arc::new(files.at_start()?);
        let health = Arc::new(Health::default());
        Ok(Self {
            watch: Watch::new(Arc::clone(&devices), files, Arc::clone(&health)),
            devices,
            health,
            now: Instant::now(),
            home,
        })
    }

    fn restart(self) -> anyhow::Result<Self> {
        Self::start(self.home)
    }

    fn write(&self, list: impl AsRef<[u8]>) {
        fs::write(self.home.path().join("devices.csv"), list).unwrap();
    }

    /// A look a second later.
    fn look(&mut self) {
        self.now += Duration::from_secs(1);
        if self.watch.is_due(self.now) {
            self.watch.look(false, self.now);
        }
    }

    fn hangup(&mut self) {
        self.now += Duration::from_millis(100);
        self.watch.look(true, self.now);
    }

    fn len(&self) -> usize {
        self.devices.list().len()
    }

    /// Whether a device is admitted, refused, or neither for now.
    fn find(&self, n: usize) -> Result<bool, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let found = runtime.unwrap().block_on(self.devices.find(&serial(n)));
        found.map(|found| found.is_some()).map_err(|error| error.0)
    }

    fn reason(&self) -> Option<String> {
        self.health.readiness().reasons.get("devices").cloned()
    }
}

#[test]
fn a_list_is_put_in_force_when_two_looks_a_second_apart_agree() {
    let mut watched = Watched::new(&rows(0, 3));
    watched.write(rows(0, 4));
    watched.look();
    assert_eq!(watched.len(), 3);
    // The next look finds more of it: that one must be found again.
    watched.write(rows(0, 6));
    watched.look();
    assert_eq!(watched.len(), 3);
    // A look that comes at once does not count.
    watched.hangup();
    assert_eq!(watched.len(), 3);
    watched.look();
    assert_eq!(watched.len(), 6);
    assert_eq!(watched.reason(), None);
}

#[test]
fn a_device_is_refused_for_now_only_while_the_list_is_in_doubt() {
    let mut watched = Watched::new(&rows(0, 3));
    assert_eq!(watched.find(3), Ok(false));
    watched.write(rows(0, 4));
    watched.look();
    assert_eq!(watched.find(0), Ok(true));
    let said = watched.find(3).unwrap_err();
    assert!(said.contains("the list is being written since 2"), "{said}");
    assert_eq!(watched.reason(), None);
    watched.look();
    assert_eq!((watched.find(3), watched.find(4)), (Ok(true), Ok(false)));

    watched.write("serial,udid,comment\nC02XK0AA0003\n");
    watched.look();
    watched.look();
    assert_eq!(watched.find(0), Ok(true));
    let said = watched.find(9).unwrap_err();
    assert!(
        said.starts_with("\"C02XK0AA0009\" is not in the list in force"),
        "{said}"
    );
    assert!(said.contains("the list is at fault since 2"), "{said}");
    assert!(said.contains("and not in use: "), "{said}");
    assert!(said.contains("devices.csv: line 2: a line needs"), "{said}");
    assert!(watched.reason().unwrap().contains("line 2"));
    watched.write(rows(0, 5));
    watched.look();
    // What is known of the one at fault goes on being true.
    assert!(watched.find(9).unwrap_err().contains("at fault"));
    watched.look();
    assert_eq!((watched.find(4), watched.find(9)), (Ok(true), Ok(false)));
    assert_eq!(watched.reason(), None);
}

#[test]
fn a_list_that_lost_most_devices_is_kept_back_until_a_hangup() {
    let mut watched = Watched::new(&rows(0, 85));
    watched.write(rows(0, 40));
    for _ in 0..5 {
        watched.look();
    }
    assert_eq!(watched.len(), 85);
    let reason = watched.reason().unwrap();
    assert!(
        reason.contains("has 40 devices and lacks 45 of the 85 in force"),
        "{reason}"
    );
    assert!(reason.contains("SIGHUP"), "{reason}");
    assert_eq!(watched.find(84), Ok(true));
    assert!(watched.find(99).unwrap_err().contains("kept back since"));
    watched.hangup();
    assert_eq!((watched.len(), watched.reason()), (40, None));
    assert_eq!((watched.find(84), watched.find(99)), (Ok(false), Ok(false)));

    // The confirmation is of that content alone.
    watched.write(rows(0, 10));
    watched.hangup();
    watched.write(rows(0, 2));
    for _ in 0..3 {
        watched.look();
    }
    assert_eq!(watched.len(), 40);
    // And one that comes before the second look counts.
    watched.write(rows(0, 1));
    watched.hangup();
    assert_eq!(watched.len(), 40);
    watched.look();
    assert_eq!(watched.len(), 1);
}

#[test]
fn a_change_that_leaves_size_and_time_is_noticed() {
    let mut watched = Watched::new(&rows(0, 3));
    let path = watched.home.path().join("devices.csv");
    let before = fs::metadata(&path).unwrap();
    // In place, so that the inode stays.
    fs::write(&path, rows(1, 4)).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!(before.len(), after.len());
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    watched.look();
    watched.look();
    assert_eq!(watched.find(3), Ok(true));
    // Where even the stamp is the same the content is read now and then.
    let (stamp, at) = watched.watch.seen.unwrap();
    watched.write(rows(2, 5));
    watched.watch.seen = Some((super::stamp(&path), at));
    assert_ne!(stamp, super::stamp(&path));
    assert!(!watched.watch.is_due(at + CONTENT / 2));
    assert!(watched.watch.is_due(at + CONTENT));
}

#[test]
fn a_list_that_never_comes_to_rest_is_a_fault() {
    let mut watched = Watched::new(&rows(0, 3));
    for n in 0..65 {
        assert_eq!(watched.reason().is_some(), n > 60, "{n}");
        watched.write(rows(0, 4 + n));
        watched.look();
    }
    let reason = watched.reason().unwrap();
    assert!(
        reason.contains("write the list beside it and rename it"),
        "{reason}"
    );
    watched.look();
    assert_eq!((watched.len(), watched.reason()), (68, None));
}

#[test]
fn a_server_starts_from_the_last_good_list() {
    let watched = Watched::new(&rows(0, 20));
    // Gone, unreadable, or without most devices: the last good one is used.
    for (list, said) in [
        (
            Some("serial,udid,comment\nC02XK0AA0003\n".to_owned()),
            "devices.csv: line 2: ",
        ),
        (
            Some("serial,udid,comment\nC02XK0AA0003,,\n".to_owned()),
            "lacks 19 of the 20",
        ),
        (None, "No such file"),
    ] {
        let path = watched.home.path().join("devices.csv");
        match list {
            Some(list) => fs::write(&path, list).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let copy = tempfile::tempdir().unwrap();
        for name in ["devices.csv", "devices.last-good.csv"] {
            let _ = fs::copy(watched.home.path().join(name), copy.path().join(name));
        }
        let mut started = Watched::start(copy).unwrap();
        for _ in 0..4 {
            assert_eq!(started.len(), 20);
            let reason = started.reason().unwrap();
            assert!(reason.contains(said), "{reason}");
            assert!(started.find(50).unwrap_err().contains("not in use"));
            started.look();
        }
        started.write(rows(0, 21));
        started.look();
        started.look();
        assert_eq!((started.len(), started.reason()), (21, None));
        // The next start is an ordinary one.
        let started = started.restart().unwrap();
        assert_eq!((started.len(), started.reason()), (21, None));
    }
}

#[test]
fn without_a_last_good_list_a_bad_one_is_an_error_at_start() {
    let watched = Watched::new(&rows(0, 3));
    watched.write("serial,udid,comment\nC02XK0AA0003\n");
    let last_good = watched.home.path().join("devices.last-good.csv");
    fs::write(&last_good, "serial,udid,comment\nC02XK0AA0003\n").unwrap();
    let error = watched.restart().err().unwrap();
    assert!(format!("{error:#}").contains("line 2"), "{error:#}");
}

#[test]
fn a_list_that_cannot_be_kept_is_kept_later() {
    let watched = Watched::new(&rows(0, 3));
    let last_good = watched.home.path().join("devices.last-good.csv");
    let mut watched = watched.restart().unwrap();
    fs::remove_file(&last_good).unwrap();
    fs::create_dir(&last_good).unwrap();
    watched.look();
    assert!(watched.watch.is_unkept);
    fs::remove_dir(&last_good).unwrap();
    watched.now += CONTENT;
    watched.look();
    assert!(!watched.watch.is_unkept);
    assert_eq!(fs::read_to_string(last_good).unwrap(), rows(0, 3));
}

#[test]
fn a_list_that_is_written_during_a_start_is_not_taken_half() {
    let watched = Watched::new(&rows(0, 20));
    let path = watched.home.path().join("devices.csv");
    // Not so much less that it would be kept back.
    watched.write(rows(0, 15));
    let writer = std::thread::spawn(move || {
        std::thread::sleep(SETTLED / 3);
        fs::write(path, rows(0, 25)).unwrap();
    });
    let mut started = watched.restart().unwrap();
    writer.join().unwrap();
    assert_eq!(started.len(), 20);
    assert!(started.reason().unwrap().contains("is being written"));
    started.look();
    started.look();
    assert_eq!((started.len(), started.reason()), (25, None));
}

#[test]
fn a_last_good_list_that_others_can_write_is_none() {
    use std::os::unix::fs::PermissionsExt as _;

    let watched = Watched::new(&rows(0, 3));
    let last_good = watched.home.path().join("devices.last-good.csv");
    fs::set_permissions(&last_good, fs::Permissions::from_mode(0o660)).unwrap();
    watched.write("garbage");
    let Err(error) = watched.restart() else {
        panic!("it was believed");
    };
    assert!(
        format!("{error:#}").contains("devices.csv: line 1: "),
        "{error:#}"
    );
}

#[test]
fn the_last_good_list_of_one_file_is_none_of_another() {
    let watched = Watched::new(&rows(0, 20));
    let dir = Dir::new(watched.home.path());
    fs::write(watched.home.path().join("pilot.csv"), rows(30, 31)).unwrap();
    let files = ListFiles::new(&dir, Path::new("pilot.csv"));
    let devices = Arc::new(files.at_start().unwrap());
    assert_eq!((devices.list().len(), devices.pending()), (1, None));
    let mut watch = Watch::new(devices, files, Arc::default());
    watch.look(false, Instant::now());
    // It has one of its own from now on, and the other one is gone.
    let kept: Vec<_> = (fs::read_dir(watched.home.path()).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("last-good"))
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].starts_with("devices.last-good-"), "{kept:?}");
}

#[test]
fn another_fault_has_a_time_of_its_own() {
    let mut watched = Watched::new(&rows(0, 20));
    watched.write(rows(0, 2));
    watched.look();
    watched.look();
    let since = |watched: &Watched| watched.devices.pending().unwrap().since;
    let mut pending = watched.devices.pending().unwrap();
    pending.since = Timestamp(1);
    watched.devices.set_pending(Some(pending));
    watched.look();
    assert_eq!(since(&watched), Timestamp(1));
    watched.write("garbage");
    watched.look();
    watched.look();
    assert!(since(&watched) > Timestamp(1));
}
