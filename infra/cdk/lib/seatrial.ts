import {
  NestedStack,
  Stack,
  type aws_dynamodb as dynamodb,
  type aws_kms as kms,
  type aws_lambda as lambda,
  type aws_s3 as s3,
  type aws_sqs as sqs,
  type aws_stepfunctions as stepfunctions,
} from "aws-cdk-lib";
import type { Grant, IGrantable } from "aws-cdk-lib/aws-iam";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { Construct } from "constructs";

import { acknowledge } from "./acknowledged";
import { decide } from "./decided";
import { type ForModel, type ForRollback, Grants } from "./grants";
import { SOURCES } from "./parameters";
import type { SeatrialProps } from "./props";
import { refused } from "./refused";
import { type FunctionName, Resources } from "./resources";
import { sendNotices, takeAlarms, useKey, writeLogs } from "./services";
import { type Value, asset, checked, declared } from "./template";
import { DIGEST, shorten } from "./versions";
import { ANSWERED, check, checkQueues } from "./wishes";

/** The buckets. */
export interface Buckets {
  /** What submitters upload. */
  readonly submissions: s3.IBucket;
  /** Packages and benchmarks, by digest. */
  readonly models: s3.IBucket;
  /** Observations and pairs. */
  readonly data: s3.IBucket;
  /** What decisions rest on, locked. */
  readonly evidence: s3.IBucket;
}

/** The state machines. */
export interface StateMachines {
  /** From a submission to a champion. */
  readonly promotion: stepfunctions.IStateMachine;
  /** The canary of a promotion. */
  readonly canary: stepfunctions.IStateMachine;
}

/** The addresses of the APIs, without a slash at the end. */
export interface Urls {
  /** Predictions. */
  readonly serve: string;
  /** Decisions. */
  readonly approvals: string;
  /** Operators. */
  readonly control: string;
}

/**
 * A Seatrial: the resources of `infra/template.yaml` in this stack, under the names they have there.
 *
 * One stack holds one: the template's names are derived from the stack's, and so are those that `seatrial connect` looks for.
 */
export class Seatrial extends Construct {
  /** The template, for whatever has no property here: `template.getResource("…")` by the name in the template. */
  readonly template: CfnInclude;
  /** Where servers report what they served. */
  readonly queue: sqs.IQueue;
  /** Submissions, packages, observations and evidence. */
  readonly buckets: Buckets;
  /** The registry. */
  readonly table: dynamodb.ITable;
  /** What runs promotions and their canaries. */
  readonly stateMachines: StateMachines;
  /** Where the APIs answer. */
  readonly urls: Urls;
  /** The asymmetric key that signs packages and evidence. */
  readonly signingKey: kms.IKey;

  private readonly resources: Resources;
  private readonly grants: Grants;

  constructor(scope: Construct, id: string, props: SeatrialProps) {
    super(scope, id);
    const stack = Stack.of(this);
    checkPlace(stack, this);
    check(stack, props);
    const parameters = { ...values(props), ...props.artifacts.bind(new Construct(this, "Artifacts")) };
    this.template = new CfnInclude(this, "Template", { templateFile: asset("template.yaml"), parameters });
    checkQueues(this.template, parameters);
    decide(this.template, ANSWERED);
    shorten(this.template);
    acknowledge(this.template);
    if (props.encryptionKey) useKey(props.encryptionKey, stack);
    if (props.accessLogs) writeLogs(props.accessLogs, stack);
    if (props.alarmTopic) takeAlarms(props.alarmTopic, stack);
    holders.set(stack, this.node.path);

    const { encryptionKey } = props;
    const resources = new Resources(this, this.template, encryptionKey);
    this.resources = resources;
    const noticesKey = props.notices?.topic?.masterKey;
    if (noticesKey) {
      const notify = this.template.getResource("NotifyFunction");
      sendNotices(noticesKey, resources.role("NotifyRole"), notify, stack);
    }
    this.queue = resources.queue("ObservationsQueue");
    this.buckets = {
      submissions: resources.bucket("SubmissionsBucket"),
      models: resources.bucket("ModelsBucket"),
      data: resources.bucket("DataBucket"),
      evidence: resources.bucket("EvidenceBucket"),
    };
    this.table = resources.table("Table");
    this.stateMachines = {
      promotion: resources.machine("PromotionStateMachine"),
      canary: resources.machine("CanaryStateMachine"),
    };
    this.urls = {
      serve: resources.output("ServeUrl"),
      approvals: resources.output("ApprovalsUrl"),
      control: resources.output("ControlUrl"),
    };
    this.signingKey = resources.key("SigningKey");
    const { queue, table, signingKey } = this;
    const { submissions, models } = this.buckets;
    const apis = { serveApi: resources.api("ServeApi"), controlApi: resources.api("ControlApi") };
    this.grants = new Grants(this, { submissions, models, table, queue, signingKey, encryptionKey, ...apis });
  }

  /** A function's alias `live`, for metrics, alarms and permissions. Calling one is the state machines' part. */
  function(name: FunctionName): lambda.IFunction {
    return this.resources.alias(name);
  }

  /** Lets an application ask for predictions, and whether a model is ready to give them. */
  grantPredict(grantee: IGrantable, options: ForModel = {}): Grant {
    return this.grants.predict(grantee, options);
  }

  /** Lets `grantee` hand in submissions by `seatrial package` and see what becomes of them. */
  grantSubmit(grantee: IGrantable, options: ForModel = {}): Grant {
    return this.grants.submit(grantee, options);
  }

  /**
   * Lets a server of your own read routes and models and report what it served.
   *
   * Where the policy names `observations.senders`, its role's id has to be among them.
   */
  grantObserve(grantee: IGrantable, options: ForModel = {}): Grant {
    return this.grants.observe(grantee, options);
  }

  /**
   * Lets `grantee` roll back, and through the API nothing else that changes anything.
   *
   * With `direct` they could write anything about the model, for a rollback is a record like any other: it is for whom you trust with
   * the registry of this model.
   */
  grantRollback(grantee: IGrantable, options: ForRollback = {}): Grant {
    return this.grants.rollback(grantee, options);
  }
}

/** The value of every parameter that properties cover, checked: the property's, else the template's default. */
function values(props: SeatrialProps): Record<string, Value> {
  const found: Record<string, Value> = { [DIGEST]: "" };
  for (const [name, source] of Object.entries(SOURCES)) {
    const value = source.value(props);
    found[name] =
      value === undefined
        ? (declared().get(name)?.default as Value)
        : source.constructs
          ? value
          : checked(name, source.property, value);
  }
  return found;
}

/** Which stack has a Seatrial already, and its path. */
const holders = new WeakMap<Stack, string>();

/** Refuses a second Seatrial in one stack, and one in a nested stack. */
function checkPlace(stack: Stack, seatrial: Seatrial): void {
  const { path } = seatrial.node;
  const other = holders.get(stack);
  if (other !== undefined) {
    const expected =
      "one Seatrial a stack: resources have the template's names. Give each a stack of its own";
    throw refused(path, `${other} in the same stack`, expected);
  }
  if (stack instanceof NestedStack) {
    const expected =
      "a stack of its own: functions are named after it, and a nested stack's name is too long for that";
    throw refused(path, "a nested stack", expected);
  }
}
