import { Stack, Token, type aws_kms, type aws_s3, type aws_sqs, type aws_dynamodb } from "aws-cdk-lib";
import { Grant, type IGrantable, type IRole } from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";

import { refused } from "./refused";
import { open, placeholder } from "./template";

/** Which model rights are for. */
export interface ForModel {
  /** The name of one model. Default: every model. */
  readonly model?: string;
}

/** Rights to roll back. */
export interface ForRollback extends ForModel {
  /**
   * Also on the table itself, for `seatrial rollback --direct`, which still works when no API and no Lambda does.
   *
   * Whoever may write a rollback there could write anything else about the model, but no approval: gates lie elsewhere.
   */
  readonly direct?: boolean;
}

/** What rights are given on. */
export interface Holdings {
  readonly submissions: aws_s3.IBucket;
  readonly models: aws_s3.IBucket;
  readonly table: aws_dynamodb.ITable;
  readonly queue: aws_sqs.IQueue;
  readonly signingKey: aws_kms.IKey;
  readonly encryptionKey: aws_kms.IKey | undefined;
  /** The id of the API of predictions. */
  readonly serveApi: string;
  /** The id of the operators' API. */
  readonly controlApi: string;
}

/** One statement of a policy: what is allowed, on what, under which conditions. */
interface Right {
  readonly actions: string[];
  readonly on: string[];
  readonly when?: Record<string, Record<string, unknown>>;
}

/** Gives principals the rights that `docs/deploy.md` lists for them, and none beside. */
export class Grants {
  constructor(
    private readonly scope: Construct,
    private readonly has: Holdings,
  ) {}

  /** To ask for predictions. */
  predict(grantee: IGrantable, { model }: ForModel): Grant {
    return this.give(grantee, [
      this.calls(this.has.serveApi, [...looks("/v2", model), `POST/v2/models/${name(model)}/*`]),
    ]);
  }

  /** To hand in submissions by `seatrial package`, and to see what becomes of them. */
  submit(grantee: IGrantable, { model }: ForModel): Grant {
    const named = name(model);
    return this.give(grantee, [
      { actions: ["s3:PutObject"], on: [this.has.submissions.arnForObjects(`submissions/${named}/*`)] },
      this.calls(this.has.controlApi, [...shows(model), `POST/v1/models/${named}/submissions`]),
      this.connect(),
      ...this.encryption(["kms:Decrypt", "kms:GenerateDataKey"], ["s3"]),
    ]);
  }

  /** To serve beside, or instead of, `serve`: to read routes and models, to verify them, and to report what was served. */
  observe(grantee: IGrantable, { model }: ForModel): Grant {
    const named = name(model);
    return this.give(grantee, [
      { actions: ["sqs:SendMessage"], on: [this.has.queue.queueArn] },
      this.items(["dynamodb:GetItem"], [`MODEL#${named}`]),
      { actions: ["s3:GetObject"], on: [this.has.models.arnForObjects(`${named}/*`)] },
      { actions: ["kms:GetPublicKey"], on: [this.has.signingKey.keyArn] },
      ...this.encryption(["kms:Decrypt"], ["dynamodb", "s3"]),
      ...this.encryption(["kms:Decrypt", "kms:GenerateDataKey"], ["sqs"]),
    ]);
  }

  /** To roll back and to see where things stand; through the API not to promote, to approve or to shift. */
  rollback(grantee: IGrantable, { model, direct }: ForRollback): Grant {
    const named = name(model);
    return this.give(grantee, [
      this.calls(this.has.controlApi, [...shows(model), `POST/v1/models/${named}/rollback`]),
      this.connect(),
      ...(direct ? this.byHand(named) : []),
    ]);
  }

  /**
   * What a rollback reads and writes on the table, and what it reads to say what callers meet.
   *
   * No gate: its partition is named by the gate and not by its model, and whoever may write there could approve any. `sweep` closes
   * the gate of a promotion that was ended.
   */
  private byHand(model: string): Right[] {
    const key = [
      "kms:Decrypt",
      "kms:DescribeKey",
      "kms:Encrypt",
      "kms:GenerateDataKey",
      "kms:ReEncryptFrom",
      "kms:ReEncryptTo",
    ];
    return [
      this.items(["dynamodb:GetItem", "dynamodb:PutItem"], [`MODEL#${model}`, `HISTORY#${model}`]),
      this.items(["dynamodb:GetItem"], [`TARGET#${model}`]),
      this.items(["dynamodb:Query"], [`HISTORY#${model}`]),
      ...this.encryption(key, ["dynamodb"]),
    ];
  }

  /** Items of the table, by their partitions. */
  private items(actions: string[], partitions: string[]): Right {
    const when = { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": partitions } };
    return { actions, on: [this.has.table.tableArn], when };
  }

  /** For `seatrial connect`, which reads the stack's outputs. A stack that is made again has another id. */
  private connect(): Right {
    const stack = Stack.of(this.scope);
    const resourceName = `${stack.stackName}/*`;
    const on = stack.formatArn({ service: "cloudformation", resource: "stack", resourceName });
    return { actions: ["cloudformation:DescribeStacks"], on: [on] };
  }

  private calls(api: string, routes: string[]): Right {
    const stack = Stack.of(this.scope);
    const on = routes.map((route) =>
      stack.formatArn({ service: "execute-api", resource: api, resourceName: `$default/${route}` }),
    );
    return { actions: ["execute-api:Invoke"], on };
  }

  /** Through the services that hold what the key encrypts, where the deployment brings one. */
  private encryption(actions: string[], services: string[]): Right[] {
    const { encryptionKey } = this.has;
    const via = services.map((service) => `${service}.${Stack.of(this.scope).region}.amazonaws.com`);
    return encryptionKey === undefined
      ? []
      : [{ actions, on: [encryptionKey.keyArn], when: { StringEquals: { "kms:ViaService": via } } }];
  }

  private give(grantee: IGrantable, rights: Right[]): Grant {
    this.checkAccount(grantee);
    const grants = rights.map(({ actions, on, when }) =>
      Grant.addToPrincipal({ grantee, actions, resourceArns: on, ...(when && { conditions: when }) }),
    );
    if (!grants.every(({ success }) => success)) {
      const expected =
        "a role, user or group of this account, such as `iam.Role.fromRoleArn` gives: another account assumes a role of this one";
      throw refused("grantee", `${shown(grantee)}, which takes no policy`, expected);
    }
    return grants.reduce((all, grant) => all.combine(grant));
  }

  /** Refuses another account's principals: the APIs have no policies of their own that could let them in. */
  private checkAccount(grantee: IGrantable): void {
    const { account } = Stack.of(this.scope);
    const { principalAccount, roleArn } = grantee.grantPrincipal as Partial<IRole>;
    if (principalAccount === undefined || principalAccount === account || placeholder(roleArn)) return;
    if (Token.isUnresolved(principalAccount) || Token.isUnresolved(account)) return;
    const expected = `a principal of this account, ${account}: another account assumes a role of this one`;
    throw refused("grantee", `${shown(grantee)} of the account ${principalAccount}`, expected);
  }
}

/** The routes that show a model. */
function looks(version: string, model: string | undefined): string[] {
  const models = `GET${version}/models`;
  return model === undefined ? [`${models}/*`] : [`${models}/${model}`, `${models}/${model}/*`];
}

/** The routes of operators that show a model, and the caller who they are; for every model also those that show all at once. */
function shows(model: string | undefined): string[] {
  const all = model === undefined ? ["GET/v1/models", "GET/v1/inventory"] : [];
  return ["GET/v1/whoami", ...all, ...looks("/v1", model)];
}

/** Whom rights are for, as an error names them. */
function shown(grantee: IGrantable): string {
  return Construct.isConstruct(grantee) ? grantee.node.path : String(grantee.grantPrincipal);
}

/** A model's name as a pattern of IAM: itself, or a star for every model. */
function name(model: string | undefined): string {
  if (model === undefined) return "*";
  if (!open(model) && !/^[a-z][a-z0-9-]{0,62}$/.test(model)) {
    throw refused(
      "model",
      JSON.stringify(model),
      "lower-case letters, digits and '-', starting with a letter, at most 63 characters",
    );
  }
  return model;
}
