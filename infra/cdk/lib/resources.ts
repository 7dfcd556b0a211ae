import {
  Token,
  aws_apigatewayv2 as apigateway,
  aws_dynamodb as dynamodb,
  aws_iam as iam,
  aws_kms as kms,
  aws_lambda as lambda,
  aws_s3 as s3,
  aws_sqs as sqs,
  aws_stepfunctions as stepfunctions,
} from "aws-cdk-lib";
import type { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import type { Construct } from "constructs";

/** The functions; each is called through its alias `live`. */
export const FUNCTIONS = [
  "answer",
  "approvals",
  "attest",
  "compare",
  "control",
  "crown",
  "evaluate",
  "gate",
  "health",
  "intake",
  "notify",
  "observe",
  "package",
  "reconcile",
  "replay",
  "rollback",
  "serve",
  "shift",
  "sweep",
] as const;

/** The name of a function. */
export type FunctionName = (typeof FUNCTIONS)[number];

/** The template's resources as CDK's own interfaces, by their names in the template. */
export class Resources {
  constructor(
    private readonly scope: Construct,
    private readonly template: CfnInclude,
    private readonly encryptionKey: kms.IKey | undefined,
  ) {}

  bucket(name: string): s3.IBucket {
    const { attrArn, ref } = this.found(name, s3.CfnBucket);
    return s3.Bucket.fromBucketAttributes(this.scope, name, {
      bucketArn: attrArn,
      bucketName: ref,
      ...this.encrypted(),
    });
  }

  queue(name: string): sqs.IQueue {
    const { attrArn, ref } = this.found(name, sqs.CfnQueue);
    const key = this.encryptionKey && { keyArn: this.encryptionKey.keyArn };
    return sqs.Queue.fromQueueAttributes(this.scope, name, { queueArn: attrArn, queueUrl: ref, ...key });
  }

  table(name: string): dynamodb.ITable {
    const { attrArn, attrStreamArn } = this.found(name, dynamodb.CfnTable);
    return dynamodb.Table.fromTableAttributes(this.scope, name, {
      tableArn: attrArn,
      tableStreamArn: attrStreamArn,
      globalIndexes: ["gsi1"],
      ...this.encrypted(),
    });
  }

  machine(name: string): stepfunctions.IStateMachine {
    const { ref } = this.found(name, stepfunctions.CfnStateMachine);
    return stepfunctions.StateMachine.fromStateMachineArn(this.scope, name, ref);
  }

  /** A function's role. What it is given beside the template is a policy of its own. */
  role(name: string): iam.IRole {
    return iam.Role.fromRoleName(this.scope, name, this.found(name, iam.CfnRole).ref);
  }

  key(name: string): kms.IKey {
    return kms.Key.fromKeyArn(this.scope, name, this.found(name, kms.CfnKey).attrArn);
  }

  /** A function's alias. Asked for twice, it is the same. */
  alias(name: FunctionName): lambda.IFunction {
    const id = `${name.charAt(0).toUpperCase()}${name.slice(1)}Alias`;
    const made = this.scope.node.tryFindChild(id) as lambda.IFunction | undefined;
    const { ref } = this.found(id, lambda.CfnAlias);
    const attributes = { functionArn: ref, sameEnvironment: true };
    return made ?? lambda.Function.fromFunctionAttributes(this.scope, id, attributes);
  }

  /** The id of an API. */
  api(name: string): string {
    return this.found(name, apigateway.CfnApi).ref;
  }

  output(name: string): string {
    return Token.asString(this.template.getOutput(name).value);
  }

  private encrypted(): { encryptionKey?: kms.IKey } {
    return this.encryptionKey ? { encryptionKey: this.encryptionKey } : {};
  }

  private found<T>(name: string, kind: abstract new (...args: never[]) => T): T {
    const resource = this.template.getResource(name);
    if (resource instanceof kind) return resource;
    throw new Error(`Seatrial: the template's ${name} is no ${kind.name}`);
  }
}
