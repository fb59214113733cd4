"""Processes on cubes; `apply`, `mask` and the like are the functions, not the modules of the same names."""

from openeo_processes_dask.process_implementations.cubes.aggregate import (
    aggregate_spatial,
    aggregate_spatial_window,
    aggregate_temporal,
    aggregate_temporal_period,
)
from openeo_processes_dask.process_implementations.cubes.apply import (
    apply,
    apply_dimension,
    apply_kernel,
    apply_neighborhood,
    apply_polygon,
)
from openeo_processes_dask.process_implementations.cubes.climatology import anomaly, climatological_normal
from openeo_processes_dask.process_implementations.cubes.curves import fit_curve, predict_curve
from openeo_processes_dask.process_implementations.cubes.dimensions import (
    add_dimension,
    create_data_cube,
    dimension_labels,
    drop_dimension,
    flatten_dimensions,
    rename_dimension,
    rename_labels,
    trim_cube,
    unflatten_dimension,
)
from openeo_processes_dask.process_implementations.cubes.filter import (
    filter_bands,
    filter_bbox,
    filter_labels,
    filter_spatial,
    filter_temporal,
    filter_vector,
)
from openeo_processes_dask.process_implementations.cubes.indices import ndvi
from openeo_processes_dask.process_implementations.cubes.load import (
    load_collection,
    load_stac,
    load_uploaded_files,
    load_url,
)
from openeo_processes_dask.process_implementations.cubes.mask import mask, mask_polygon
from openeo_processes_dask.process_implementations.cubes.merge import merge_cubes
from openeo_processes_dask.process_implementations.cubes.reduce import reduce_dimension, reduce_spatial
from openeo_processes_dask.process_implementations.cubes.resample import (
    resample_cube_spatial,
    resample_cube_temporal,
    resample_spatial,
)
from openeo_processes_dask.process_implementations.cubes.save import (
    export_collection,
    export_workspace,
    save_result,
    stac_modify,
)
from openeo_processes_dask.process_implementations.cubes.vector import (
    load_geojson,
    vector_buffer,
    vector_reproject,
    vector_to_random_points,
    vector_to_regular_points,
)

__all__ = [
    "add_dimension",
    "aggregate_spatial",
    "aggregate_spatial_window",
    "aggregate_temporal",
    "aggregate_temporal_period",
    "anomaly",
    "apply",
    "apply_dimension",
    "apply_kernel",
    "apply_neighborhood",
    "apply_polygon",
    "climatological_normal",
    "create_data_cube",
    "dimension_labels",
    "drop_dimension",
    "export_collection",
    "export_workspace",
    "filter_bands",
    "filter_bbox",
    "filter_labels",
    "filter_spatial",
    "filter_temporal",
    "filter_vector",
    "fit_curve",
    "flatten_dimensions",
    "load_collection",
    "load_geojson",
    "load_stac",
    "load_uploaded_files",
    "load_url",
    "mask",
    "mask_polygon",
    "merge_cubes",
    "ndvi",
    "predict_curve",
    "reduce_dimension",
    "reduce_spatial",
    "rename_dimension",
    "rename_labels",
    "resample_cube_spatial",
    "resample_cube_temporal",
    "resample_spatial",
    "save_result",
    "stac_modify",
    "trim_cube",
    "unflatten_dimension",
    "vector_buffer",
    "vector_reproject",
    "vector_to_random_points",
    "vector_to_regular_points",
]
