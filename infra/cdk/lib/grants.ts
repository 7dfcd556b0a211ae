import { Stack, Token, type aws_kms, type aws_s3, type aws_sqs, type aws_dynamodb } from "aws-cdk-lib";
import { Grant, type IGrantable } from "aws-cdk-lib/aws-iam";
import type { Construct } from "constructs";

import { refused } from "./refused";

/** Which model rights are for. */
export interface ForModel {
  /** The name of one model. Default: every model. */
  readonly model?: string;
}

/** Rights to roll back. */
export interface ForRollback extends ForModel {
  /** Also on the table itself, for `seatrial rollback --direct`, which still works when no API and no Lambda does. */
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
      this.calls(this.has.controlApi, [...looks("/v1", model), `POST/v1/models/${named}/submissions`]),
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

  /** To roll back and to see where things stand; not to promote, to approve or to shift. */
  rollback(grantee: IGrantable, { model, direct }: ForRollback): Grant {
    const named = name(model);
    const routes = [...looks("/v1", model), `POST/v1/models/${named}/rollback`];
    return this.give(grantee, [
      this.calls(this.has.controlApi, routes),
      ...(direct ? this.byHand(named) : []),
    ]);
  }

  /** What a rollback reads and writes on the table. A gate's partition is named by the gate and not by its model. */
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
      this.items(["dynamodb:GetItem", "dynamodb:PutItem"], [`MODEL#${model}`, `HISTORY#${model}`, "GATE#*"]),
      this.items(["dynamodb:Query"], [`HISTORY#${model}`]),
      ...this.encryption(key, ["dynamodb"]),
    ];
  }

  /** Items of the table, by their partitions. */
  private items(actions: string[], partitions: string[]): Right {
    const when = { "ForAllValues:StringLike": { "dynamodb:LeadingKeys": partitions } };
    return { actions, on: [this.has.table.tableArn], when };
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
    const grants = rights.map(({ actions, on, when }) =>
      Grant.addToPrincipal({ grantee, actions, resourceArns: on, ...(when && { conditions: when }) }),
    );
    return grants.reduce((all, grant) => all.combine(grant));
  }
}

/** The routes that show a model. */
function looks(version: string, model: string | undefined): string[] {
  const models = `GET${version}/models`;
  return model === undefined ? [`${models}/*`] : [`${models}/${model}`, `${models}/${model}/*`];
}

/** A model's name as a pattern of IAM: itself, or a star for every model. */
function name(model: string | undefined): string {
  if (model === undefined) return "*";
  if (!Token.isUnresolved(model) && !/^[a-z][a-z0-9-]{0,62}$/.test(model)) {
    throw refused(
      "model",
      JSON.stringify(model),
      "lower-case letters, digits and '-', starting with a letter, at most 63 characters",
    );
  }
  return model;
}
