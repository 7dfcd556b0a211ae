import { type Duration, type Size, SizeRoundingBehavior, Token } from "aws-cdk-lib";

import type { SeatrialProps } from "./props";
import { refused } from "./refused";
import { type Value, open } from "./template";

/** A property that a parameter of the template takes its value from. */
export interface Source {
  /** The property as users write it. */
  readonly property: string;
  /** The value, or nothing where the template's default stands. */
  readonly value: (props: SeatrialProps) => Value | undefined;
  /** Whether the value is a construct's own word, which is not held against the template's. */
  readonly constructs?: true;
}

type Read<T> = (props: SeatrialProps) => T | undefined;

const plain = (property: string, read: Read<Value>): Source => ({ property, value: read });

/** A measure in whole units; what does not divide evenly is refused and not rounded. */
const whole =
  <T>(unit: string, inUnit: (measure: T) => number, shown: (measure: T) => string) =>
  (property: string, read: Read<T>): Source => ({
    property,
    value: (props) => {
      const measure = read(props);
      if (measure === undefined) return undefined;
      const number = inUnit(measure);
      if (!Token.isUnresolved(number) && !Number.isInteger(number))
        throw refused(property, shown(measure), `whole ${unit}`);
      return number;
    },
  });
const duration = (duration: Duration): string => duration.toHumanString();
const days = whole<Duration>("days", (time) => time.toDays({ integral: false }), duration);
const seconds = whole<Duration>("seconds", (time) => time.toSeconds({ integral: false }), duration);
const mebibytes = whole<Size>(
  "mebibytes",
  (size) => size.toMebibytes({ rounding: SizeRoundingBehavior.NONE }),
  (size) => `${size.toKibibytes()} KiB`,
);

/** A list, as the template takes it: with commas. */
const list = (property: string, read: Read<string[]>): Source => ({
  property,
  value: (props) => {
    const items = read(props);
    items?.forEach((item, index) => {
      if (item === "" || (!open(item) && item.includes(","))) {
        throw refused(`${property}[${index}]`, JSON.stringify(item), "one entry, without a comma");
      }
    });
    return items === undefined || items.length === 0 ? undefined : items.join(",");
  },
});

/** Ids of constructs. In a VPC that the CLI has yet to look up, CDK has ids that no subnet could have. */
const ids = (property: string, read: Read<string[]>): Source => ({
  ...list(property, read),
  constructs: true,
});

/**
 * Where each parameter of the template takes its value from. The keys of the artifacts are bound apart, by `Artifacts`.
 *
 * A test holds this against the template: a parameter that is added there and not here fails it.
 */
export const SOURCES: Readonly<Record<string, Source>> = {
  Architecture: plain("architecture", (p) => p.architecture?.name),
  MemorySmall: mebibytes("memory.small", (p) => p.memory?.small),
  MemoryPackage: mebibytes("memory.package", (p) => p.memory?.package),
  MemoryInference: mebibytes("memory.inference", (p) => p.memory?.inference),
  LogLevel: plain("logs.level", (p) => p.logs?.level),
  LogRetentionDays: plain("logs.retention", (p) => p.logs?.retention),
  AlarmTopicArn: plain("alarmTopic", (p) => p.alarmTopic?.topicArn),
  MailFrom: plain("mailFrom", (p) => p.mailFrom),
  NotifyTopicArn: plain("notices.topic", (p) => p.notices?.topic?.topicArn),
  NotifyHosts: list("notices.hosts", (p) => p.notices?.hosts),
  TargetFunctions: list("targets.functions", (p) => p.targets?.functions?.map((f) => f.functionArn)),
  TargetEndpoints: list("targets.endpoints", (p) => p.targets?.endpoints),
  TargetRoles: list("targets.roles", (p) => p.targets?.roles?.map((role) => role.roleArn)),
  TargetHosts: list("targets.hosts", (p) => p.targets?.hosts),
  ApprovalsBaseUrl: plain("approvals.baseUrl", (p) => p.approvals?.baseUrl),
  OidcIssuer: plain("approvals.oidc.issuer", (p) => p.approvals?.oidc?.issuer),
  OidcAudience: plain("approvals.oidc.audience", (p) => p.approvals?.oidc?.audience),
  OidcClientId: plain("approvals.oidc.clientId", (p) => p.approvals?.oidc?.clientId),
  OidcIdentity: plain("approvals.oidc.identity", (p) => p.approvals?.oidc?.identity),
  PlatformOwners: list("platformOwners", (p) => p.platformOwners),
  CheckHosts: list("checkHosts", (p) => p.checkHosts),
  RemoteModels: list("remote.models", (p) => p.remote?.models),
  RemoteHosts: list("remote.hosts", (p) => p.remote?.hosts),
  TrainingKeys: list("trainingKeys", (p) => p.trainingKeys?.map((key) => key.keyArn)),
  TrainingArtifacts: list("trainingArtifacts", (p) => p.trainingArtifacts),
  ObjectLockMode: plain("evidence.lockMode", (p) => p.evidence?.lockMode),
  ObjectLockDays: days("evidence.lock", (p) => p.evidence?.lock),
  SubmissionDays: days("retention.submissions", (p) => p.retention?.submissions),
  ObservationDays: days("retention.observations", (p) => p.retention?.observations),
  DeletionProtection: plain("deletionProtection", (p) => p.deletionProtection?.toString()),
  ObservationsVisibility: seconds("visibility.observations", (p) => p.visibility?.observations),
  ShadowVisibility: seconds("visibility.shadow", (p) => p.visibility?.shadow),
  NoticesVisibility: seconds("visibility.notices", (p) => p.visibility?.notices),
  TargetsVisibility: seconds("visibility.targets", (p) => p.visibility?.targets),
  ControlConcurrency: plain("concurrency.control", (p) => p.concurrency?.control),
  RollbackConcurrency: plain("concurrency.rollback", (p) => p.concurrency?.rollback),
  ReconcileConcurrency: plain("concurrency.reconcile", (p) => p.concurrency?.reconcile),
  AnswerConcurrency: plain("concurrency.answer", (p) => p.concurrency?.answer),
  ApprovalsConcurrency: plain("concurrency.approvals", (p) => p.concurrency?.approvals),
  ServeConcurrency: plain("concurrency.serve", (p) => p.concurrency?.serve),
  ServeRate: plain("throttles.serve.rate", (p) => p.throttles?.serve?.rate),
  ServeBurst: plain("throttles.serve.burst", (p) => p.throttles?.serve?.burst),
  ApprovalsRate: plain("throttles.approvals.rate", (p) => p.throttles?.approvals?.rate),
  ApprovalsBurst: plain("throttles.approvals.burst", (p) => p.throttles?.approvals?.burst),
  ControlRate: plain("throttles.control.rate", (p) => p.throttles?.control?.rate),
  ControlBurst: plain("throttles.control.burst", (p) => p.throttles?.control?.burst),
  VpcSubnetIds: ids("network.subnets", (p) => p.network?.vpc.selectSubnets(p.network.subnets).subnetIds),
  VpcSecurityGroupIds: ids("network.securityGroups", (p) =>
    p.network?.securityGroups.map((group) => group.securityGroupId),
  ),
  EncryptionKeyArn: plain("encryptionKey", (p) => p.encryptionKey?.keyArn),
  AccessLogsBucket: plain("accessLogs", (p) => p.accessLogs?.bucketName),
  LocalIdentity: plain("emulator.localIdentity", (p) => p.emulator?.localIdentity),
  ApiAddress: plain("emulator.apiAddress", (p) => p.emulator?.apiAddress),
};
