import type {
  Duration,
  Size,
  aws_ec2,
  aws_iam,
  aws_kms,
  aws_lambda,
  aws_logs,
  aws_s3,
  aws_sns,
} from "aws-cdk-lib";

import type { Artifacts } from "./artifacts";

/** How a Seatrial is deployed. What is left out has the default of the template; `docs/deploy.md` lists them. */
export interface SeatrialProps {
  /** Where the zips of the functions and the definitions of the state machines come from. */
  readonly artifacts: Artifacts;
  /** The processor that the zips are built for. Default: x86-64. */
  readonly architecture?: aws_lambda.Architecture;
  /** Memory by class of function. */
  readonly memory?: Memory;
  /** What the functions log, and how long logs are kept. */
  readonly logs?: Logs;
  /**
   * Where alarms go. Default: alarms only show.
   *
   * Where the app gives this topic a policy or a key, CloudWatch is let in. What an imported one has to hold: `docs/deploy.md`.
   */
  readonly alarmTopic?: aws_sns.ITopic;
  /** The sender of mail to approvers and of notices, verified in SES. Default: no mail is sent. */
  readonly mailFrom?: string;
  /** What notices of models may reach, beside mail. */
  readonly notices?: Notices;
  /** What `reconcile` may move for policies that name a traffic target. Default: nothing. */
  readonly targets?: Targets;
  /** How people decide at gates. */
  readonly approvals?: Approvals;
  /** Principals that may change every model's policy and benchmark: a user's ARN, or a role's id (`role.roleId`). */
  readonly platformOwners?: string[];
  /** Hosts that integration checks of policies may reach over https, with a port where it is not 443. Default: none. */
  readonly checkHosts?: string[];
  /**
   * Which objects training leaves behind may be read, for events of SageMaker and of your own: ARN patterns such as
   * `bucket.arnForObjects("models/*")`. Default: none, and such events are refused.
   */
  readonly trainingArtifacts?: string[];
  /**
   * The KMS keys that these objects are encrypted with, in this region. Default: none. The policy of a key of another account has to let
   * the roles of `intake` and `package` decrypt as well.
   */
  readonly trainingKeys?: aws_kms.IKey[];
  /** What versions of models that run elsewhere may be. Default: none. */
  readonly remote?: Remote;
  /** How evidence is locked. */
  readonly evidence?: Evidence;
  /** How long what is no evidence is kept. */
  readonly retention?: Retention;
  /** Whether the table refuses to be deleted. Default: it does. */
  readonly deletionProtection?: boolean;
  /** Until a message that was not finished comes again: at least six times the timeout of the function that reads it. */
  readonly visibility?: Visibility;
  /** Reserved concurrency. What is reserved here is taken from the account's other functions. Default: none. */
  readonly concurrency?: Concurrency;
  /** Throttles of the APIs. Default: the account's. */
  readonly throttles?: Throttles;
  /** The network that all functions run in; `docs/deploy.md` lists what it has to let them reach. Default: none. */
  readonly network?: Network;
  /**
   * The symmetric KMS key that buckets, table, queues and logs are encrypted with. Default: keys of AWS.
   *
   * A key of this app gets the statements that CloudWatch Logs and EventBridge need. The policy of an imported key cannot be
   * changed from here: it has to hold them, see `docs/deploy.md`.
   */
  readonly encryptionKey?: aws_kms.IKey;
  /** The bucket that S3 writes access logs of the buckets to, below `<stack>/`, in the same account and region. Default: none. */
  readonly accessLogs?: aws_s3.IBucket;
  /** For a local engine that stands in for AWS. */
  readonly emulator?: Emulator;
}

/** Memory by class of function. */
export interface Memory {
  /** Of functions that only talk to other services. Default: 512 MiB. */
  readonly small?: Size;
  /** Of `package`, which hashes and copies, and of `attest`, which typesets. Default: 1024 MiB. */
  readonly package?: Size;
  /** Of functions that run models. Default: 1769 MiB, which is one processor. */
  readonly inference?: Size;
}

/** Logs of functions, APIs and state machines. */
export interface Logs {
  /** What the functions log. Default: `info`. */
  readonly level?: "error" | "warn" | "info" | "debug" | "trace";
  /** How long logs are kept. Default: 90 days. */
  readonly retention?: aws_logs.RetentionDays;
}

/** What notices may reach. */
export interface Notices {
  /**
   * A topic that every notice of every model goes to. Default: none; policies may name topics that begin with `seatrial-`.
   *
   * `notify` may use its key. What the key of an imported one has to allow: `docs/notify.md`.
   */
  readonly topic?: aws_sns.ITopic;
  /** Hosts that webhooks of policies may reach over https, with a port where it is not 443. Default: none. */
  readonly hosts?: string[];
}

/** What remote versions may be. */
export interface Remote {
  /**
   * ARNs of versions of Lambda functions, of SageMaker endpoints with their endpoint-configs and models, and of roles of owners to call
   * as. Default: none.
   */
  readonly models?: string[];
  /** Hosts of servers of the Open Inference Protocol, with a port where it is not 443. Default: none. */
  readonly hosts?: string[];
}

/** What may be moved for policies that name a traffic target. */
export interface Targets {
  /** Functions whose aliases may be moved. Each carries the tag `seatrial:model` with the name of its model. */
  readonly functions?: aws_lambda.IFunction[];
  /** ARNs of SageMaker endpoints whose weights may be set. Each carries the tag `seatrial:model` with the name of its model. */
  readonly endpoints?: string[];
  /** Roles of owners that may be assumed for it; their trust policies ask for the external id `<stack>/<model>`. */
  readonly roles?: aws_iam.IRole[];
  /** Hosts of hooks that move traffic, reached over https, with a port where it is not 443. */
  readonly hosts?: string[];
}

/** How people decide at gates. */
export interface Approvals {
  /** What links to gates begin with, without a slash at the end. Default: the API's own address. */
  readonly baseUrl?: string;
  /** The OpenID Connect issuer whose tokens and logins are believed. Default: people decide by link or with AWS credentials. */
  readonly oidc?: Oidc;
}

/** An OpenID Connect issuer. One of `audience` and `clientId` is needed, for whom its tokens are. */
export interface Oidc {
  /** Exactly as the issuer writes itself in `iss`. */
  readonly issuer: string;
  /** The audience (`aud`) that bearer tokens are for. Default: `clientId`. */
  readonly audience?: string;
  /** The public client for logins in a browser. Default: no such logins. */
  readonly clientId?: string;
  /** What of a token names its bearer: the verified mail address, or always `<issuer>#<sub>`. Default: `email`. */
  readonly identity?: "email" | "subject";
}

/** How evidence is locked. */
export interface Evidence {
  /** Whether even the account's root may not shorten the lock (compliance). Default: governance. */
  readonly lockMode?: aws_s3.ObjectLockMode;
  /** How long evidence cannot be deleted. Default: 365 days. */
  readonly lock?: Duration;
}

/** How long what is no evidence is kept. */
export interface Retention {
  /** Submissions, after their packages were made. Default: 30 days. */
  readonly submissions?: Duration;
  /** Observations and pairs. Default: 400 days. */
  readonly observations?: Duration;
}

/** Until a message that was not finished comes again. */
export interface Visibility {
  /** What servers reported, for `observe`. Default: 3 minutes. */
  readonly observations?: Duration;
  /** Sampled requests, for `replay`. Default: 12 minutes. */
  readonly shadow?: Duration;
  /** Notices, for `notify`. Default: 3 minutes. */
  readonly notices?: Duration;
  /** Traffic targets, for `reconcile`. Default: 3 minutes. */
  readonly targets?: Duration;
}

/** Reserved concurrency. */
export interface Concurrency {
  /** Of `control`, so that nothing can keep an operator from rolling back. */
  readonly control?: number;
  /** Of `rollback`. */
  readonly rollback?: number;
  /** Of `reconcile`, which carries a rollback to a traffic target: also its ceiling. At least 5. */
  readonly reconcile?: number;
  /** Of `answer`, which passes a rollback on to `reconcile`: also its ceiling. At least 2. */
  readonly answer?: number;
  /** Of `approvals`, which is public: also its ceiling. */
  readonly approvals?: number;
  /** Of `serve`: also its ceiling. */
  readonly serve?: number;
}

/** Throttles of the APIs. */
export interface Throttles {
  /** Of predictions. */
  readonly serve?: Throttle;
  /** Of decisions. */
  readonly approvals?: Throttle;
  /** Of operators. */
  readonly control?: Throttle;
}

/** A throttle. */
export interface Throttle {
  /** Requests a second. */
  readonly rate?: number;
  /** Requests at once. */
  readonly burst?: number;
}

/** A network of your own. */
export interface Network {
  /** The VPC. */
  readonly vpc: aws_ec2.IVpc;
  /** Which of its subnets. Default: private ones with a way out. */
  readonly subnets?: aws_ec2.SubnetSelection;
  /** The security groups of all functions, at least one. */
  readonly securityGroups: aws_ec2.ISecurityGroup[];
}

/** For a local engine that stands in for AWS. Refused in every account but 000000000000. */
export interface Emulator {
  /** The identity of callers where there is no IAM. */
  readonly localIdentity?: string;
  /** How APIs are reached, with `{api}` for the API's id and without a slash at the end. */
  readonly apiAddress?: string;
}
