/** An EC2 instance as Holdfast recorded it: `{instance: {…}, volumes: […]}`; every part may be missing. */
export interface InstanceRecord {
  readonly instanceId: string | null;
  readonly instanceType: string | null;
  readonly imageId: string | null;
  readonly architecture: string | null;
  readonly platform: string | null;
  readonly zone: string | null;
  readonly vpcId: string | null;
  readonly subnetId: string | null;
  readonly privateIpAddress: string | null;
  readonly keyName: string | null;
  readonly profile: string | null;
  readonly rootDeviceName: string | null;
  readonly securityGroupIds: readonly string[];
  readonly tags: readonly { readonly key: string; readonly value: string }[];
}

export interface VolumeRecord {
  readonly volumeId: string;
  readonly device: string;
  readonly sizeGib: number;
  readonly volumeType: string;
  readonly iops: number | null;
  readonly throughput: number | null;
  readonly encrypted: boolean;
  readonly deleteOnTermination: boolean;
}

export function readRecord(details: unknown): { instance: InstanceRecord; volumes: VolumeRecord[] } {
  const document = object(details);
  const instance = object(document.instance);
  const volumes = Array.isArray(document.volumes) ? document.volumes.map(object) : [];
  return {
    instance: {
      instanceId: text(instance.instanceId),
      instanceType: text(instance.instanceType),
      imageId: text(instance.imageId),
      architecture: text(instance.architecture),
      platform: text(instance.platform),
      zone: text(instance.zone),
      vpcId: text(instance.vpcId),
      subnetId: text(instance.subnetId),
      privateIpAddress: text(instance.privateIpAddress),
      keyName: text(instance.keyName),
      profile: text(instance.iamInstanceProfileArn)?.split("/").at(-1) ?? null,
      rootDeviceName: text(instance.rootDeviceName),
      securityGroupIds: Array.isArray(instance.securityGroupIds) ? instance.securityGroupIds.map(String) : [],
      tags: Object.entries(object(instance.tags)).map(([key, value]) => ({ key, value: String(value) })),
    },
    volumes: volumes.map((volume) => ({
      volumeId: text(volume.volumeId) ?? "",
      device: text(volume.device) ?? "–",
      sizeGib: number(volume.sizeGib) ?? 0,
      volumeType: text(volume.volumeType) ?? "–",
      iops: number(volume.iops),
      throughput: number(volume.throughput),
      encrypted: volume.encrypted === true,
      deleteOnTermination: volume.deleteOnTermination === true,
    })),
  };
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
