//! `assay demo`: from nothing to a certificate and to a refusal, through
//! exactly the wiring of `serve`.

use std::{fs, path::Path};

use assay_engine::ports::Store;
use assay_lab::demo::{DemoDevice, LISTED, OTHER};
use assay_proto::admin::{FindOrders, ListOrders, Request, Response};
use assay_simulator::{EnrollError, EnrollProgress, Enrolled, authority::AttestationAuthority};
use clap::Args;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::{
    config::Mode,
    dir::Dir,
    init, now, orders,
    output::Text,
    print,
    serve::{self, ServeArgs},
    stop::{OrStop, Stop},
    values::KeyKind,
};

/// `assay demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep the directory, and leave the server running until interrupted.
    #[arg(long)]
    pub keep: bool,
}

/// `assay demo`
pub async fn run(args: &DemoArgs) -> Result<(), Stop> {
    let temporary = tempfile::Builder::new()
        .prefix("assay-demo-")
        .tempdir()
        .or_fault("cannot make a temporary directory")?;
    let home = temporary.path().to_owned();
    let dir = Dir::new(home.join("assay"));
    // Kept from here on if asked, whatever happens: it may show what went wrong.
    let _temporary = if args.keep {
        let kept = temporary.keep();
        print(format_args!("Everything is kept in {}.", kept.display()))?;
        None
    } else {
        Some(temporary)
    };

    print("1. An attestation authority, in the place of Apple's.")?;
    let authority = AttestationAuthority::create(now()).or_fault("cannot make the authority")?;
    let authority_dir = home.join("authority");
    authority
        .save(&authority_dir)
        .or_fault("cannot keep the authority")?;

    print("2. A laboratory server that trusts it: root, issuing and TLS CA, database.")?;
    init::create(
        &dir,
        &init::Plan {
            name: "Demo",
            base_url: None,
            key: KeyKind::P256,
            laboratory: true,
            laboratory_roots: vec![(
                "laboratory-root-1.pem".to_owned(),
                authority.root_pem().to_owned(),
            )],
            admission: Mode::Listed,
        },
    )?;
    print(format_args!(
        "3. One device is listed: serial {}, in devices.csv.",
        LISTED.serial
    ))?;
    fs::write(
        dir.resolve(Path::new("devices.csv")),
        format!(
            "serial,udid,comment\n{},,the demo's device\n",
            LISTED.serial
        ),
    )
    .or_fault("cannot write devices.csv")?;

    let ready = serve::prepare(
        &dir,
        &ServeArgs {
            listen: Some(([127, 0, 0, 1], 0).into()),
            ..ServeArgs::default()
        },
        None,
    )
    .await?;
    let directory = ready.app.engine.urls().directory();
    let store = ready.app.store.clone();
    print(format_args!("4. The server listens on {directory}."))?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(ready.run(async {
        // Either way it is time to end.
        let _ = stopped.await;
    }));

    let ca_bundle =
        fs::read_to_string(dir.ca_certificate("root")).or_fault("cannot read the root")?;
    print(format_args!("\n5. The device {} enrols:", LISTED.serial))?;
    let enrolled = attempt(&directory, &ca_bundle, &LISTED, &authority)
        .await?
        .or_fault("the listed device was not enrolled")?;
    show_certificate(&enrolled)?;

    print(format_args!(
        "\n6. Another device, {}, orders for {} too:",
        OTHER.serial, LISTED.serial
    ))?;
    match attempt(&directory, &ca_bundle, &OTHER, &authority).await? {
        Ok(_) => {
            return Err(Stop::fault(anyhow::anyhow!(
                "another device's evidence was accepted: this must never happen"
            )));
        }
        Err(error) if error.is_refusal() => show_refusal(&error, store.as_ref()).await?,
        Err(error) => return Err(Stop::fault(error)),
    }

    if args.keep {
        print(format_args!(
            "\nThe server goes on; end it with Ctrl-C. Try:\n  \
             assay simulate enroll --directory {directory} --ca-bundle {} --authority {} --serial {} --udid {}\n  \
             assay --dir {} orders list",
            dir.ca_certificate("root").display(),
            authority_dir.display(),
            LISTED.serial,
            LISTED.udid,
            dir.path().display()
        ))?;
        tokio::signal::ctrl_c()
            .await
            .or_fault("cannot take Ctrl-C")?;
    }
    // The server may have ended by itself; its result tells.
    let _ = stop.send(());
    server.await.or_fault("the server broke off")?
}

/// One order for the listed device, its steps printed.
async fn attempt(
    directory: &str,
    ca_bundle: &str,
    device: &DemoDevice,
    authority: &AttestationAuthority,
) -> Result<Result<Enrolled, EnrollError>, Stop> {
    let mut printed = Ok(());
    let watch = &mut |progress: EnrollProgress<'_>| {
        let EnrollProgress::Step(step) = progress else {
            return;
        };
        if printed.is_ok() {
            printed = print(format_args!("     {}", step.describe()));
        }
    };
    let result = device
        .enroll_as_listed(directory, ca_bundle, authority, watch)
        .await;
    printed.map(|()| result)
}

fn show_certificate(enrolled: &Enrolled) -> Result<(), Stop> {
    let der = CertificateDer::from_pem_slice(enrolled.certificate_pem.as_bytes())
        .or_fault("the certificate is not PEM")?;
    let certificate = assay_attest::UnverifiedCertificate::decode(&der)
        .map_err(|refusal| anyhow::anyhow!("{refusal}"))
        .or_fault("the certificate cannot be read")?;
    let time = |seconds| assay_proto::Timestamp(seconds);
    print(format_args!(
        "   It has its certificate:\n     subject     {}\n     issuer      {}\n     serial      {}\n     valid       {} to {}\n     key         the one that was attested, in the device's Secure Enclave\n\n{}",
        certificate.subject,
        certificate.issuer,
        certificate.serial_number,
        time(certificate.not_before),
        time(certificate.not_after),
        enrolled.certificate_pem.trim_end()
    ))
}

async fn show_refusal(error: &EnrollError, store: &dyn Store) -> Result<(), Stop> {
    print(format_args!(
        "   It is refused. The client sees:\n     {error}"
    ))?;
    let request = Request::Page(ListOrders {
        limit: 2,
        count: false,
        ..ListOrders::default()
    });
    let latest = match orders::answer(store, &request).await {
        Ok(Response::Page(page)) => page.orders,
        Ok(_) => Vec::new(),
        Err(fault) => return Err(Stop::fault(fault)),
    };
    // Orders of one second are listed in any order: the last need not be it.
    let Some(order) = latest.iter().find(|order| order.reason.is_some()) else {
        return Err(Stop::fault(anyhow::anyhow!(
            "the refused order was not kept"
        )));
    };
    let request = Request::Find(FindOrders {
        text: order.id.clone(),
        certificate: false,
    });
    let found = match orders::answer(store, &request).await {
        Ok(Response::Found(found)) => found.order,
        _ => None,
    };
    match found {
        Some(story) => print(format_args!(
            "   The operator sees (assay orders show {}):\n{}",
            order.id,
            indent(&Text(&*story).to_string())
        )),
        _ => Err(Stop::fault(anyhow::anyhow!(
            "the refused order cannot be read"
        ))),
    }
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("     {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
