export { EditStorageTemplate as default } from "./EditTemplate";
