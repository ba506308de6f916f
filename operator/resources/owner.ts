// SPDX-License-Identifier: Apache-2.0
import type { StoredFtvm } from '../api/ftvm.js';
import { FTVMS } from '../api/resources.js';
import { apiVersionOf, type OwnerReference } from '../kit/object.js';

/**
 * Who an object belongs to. Not blocking: the finalizer decides about the order, and what a lost VM leaves behind must
 * never keep a namespace from going.
 */
export const ownerOf = ({ metadata: { name, uid } }: StoredFtvm): OwnerReference => ({
  apiVersion: apiVersionOf(FTVMS),
  kind: FTVMS.kind,
  name,
  uid,
  controller: true,
  blockOwnerDeletion: false,
});
