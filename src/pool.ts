export type { PoolRunOptions, ProducerPool, ProducerPoolOptions } from './host/pool.ts'
export { createProducerPool } from './host/pool.ts'
